import { randomUUID } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { SendNotificationSchema } from "../../gen/shop/notification/v1/notification_command_pb.ts";
import {
  NotificationFailedSchema,
  NotificationSentSchema,
} from "../../gen/shop/notification/v1/notification_event_pb.ts";
import { NotificationState, Template } from "../../gen/shop/notification/v1/notification_pb.ts";
import { NotificationService } from "../../gen/shop/notification/v1/notification_service_pb.ts";
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderRejectedSchema,
} from "../../gen/shop/order/v1/order_event_pb.ts";
import { PaymentRefundedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { published } from "../../mesh/testing/published.ts";
import { handled, testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startMailSink } from "../../tools/local/mail-sink.ts";
import { freePort } from "../../tools/local/ports.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const NO_MAILBOX = Object.assign(new Error("no such mailbox"), { responseCode: 550 });
const NOT_NOW = Object.assign(new Error("try again later"), { responseCode: 451 });
let isBusy = false;

const sinkOptions = {
  smtpPort: await freePort(),
  pagePort: 0,
  file: join(mkdtempSync(join(inject("testDir"), "mails-")), "mails.jsonl"),
  refuses: (address: string) =>
    address.startsWith("nobody-") ? NO_MAILBOX : isBusy && address.startsWith("busy-") ? NOT_NOW : undefined,
};
let sink = await startMailSink(sinkOptions);
atEnd(() => sink.stop());

const orders = await testPublisher(OrderConfirmedSchema);
const rejections = await testPublisher(OrderRejectedSchema);
const cancellations = await testPublisher(OrderCancelledSchema);
const refunds = await testPublisher(PaymentRefundedSchema);
const customers = await testPublisher(CustomerRegisteredSchema);
const commands = await testPublisher(SendNotificationSchema);

const options = {
  contract: NotificationService,
  readSettings,
  start: startApp,
  env: { SMTP_URL: sink.smtpUrl },
};
const { client, sql, databaseUrl } = await testService(options);
// Another instance, so that everything here has competing consumers and runners.
await testService({ ...options, databaseUrl });

/** A customer whom nobody else writes to, whose address begins so. */
function newCustomer(kind = "ada") {
  const customerId = `cust-${randomUUID()}`;
  return { customerId, email: `${kind}-${customerId}@example.com`, displayName: "Ada" };
}

async function registered(kind?: string) {
  const customer = newCustomer(kind);
  const seq = await customers.publish(customer);
  await handled(sql, "notification__customers", CustomerRegisteredSchema, { key: customer.customerId, seq });
  return customer;
}

const mailsTo = (email: string) => sink.mails.filter(({ to }) => to.includes(email));

const notificationsOf = async (customerId: string) =>
  (await client.listNotifications({ customerId })).notifications;

/** The only notification of a customer, once it has ended. */
const ended = (customerId: string) =>
  until(async () => {
    const [notification, ...more] = await notificationsOf(customerId);
    expect(more).toEqual([]);
    return notification && notification.state !== NotificationState.PENDING && notification;
  });

const announced = (notificationId: string) =>
  published(sql, [NotificationSentSchema, NotificationFailedSchema] as const, notificationId);

describe("an order that has ended", () => {
  test.each([
    ["confirmed", Template.ORDER_CONFIRMED, /Your order (\S+) over 12.99 EUR is paid/],
    ["rejected", Template.ORDER_REJECTED, /your order (\S+) could not be fulfilled \(OUT_OF_STOCK\)/],
    ["cancelled", Template.ORDER_CANCELLED, /Your order (\S+) is cancelled/],
  ])("%s gives its customer one mail", async (how, template, text) => {
    const { customerId, email } = await registered();
    const orderId = `order-${randomUUID()}`;
    const order = { orderId, customerId };
    if (how === "confirmed") await orders.publish({ ...order, total: euro(1_299) });
    else if (how === "rejected") await rejections.publish({ ...order, reason: "OUT_OF_STOCK" });
    else await cancellations.publish({ ...order, reason: "changed my mind" });
    const notification = await ended(customerId);
    expect(notification).toMatchObject({ template, state: NotificationState.SENT });
    expect(notification.sendTime).toBeDefined();
    const mails = mailsTo(email);
    expect(mails).toHaveLength(1);
    expect(mails[0]?.text.match(text)?.[1]).toBe(orderId);
    expect(mails[0]?.messageId).toContain(notification.notificationId);
    expect(await announced(notification.notificationId)).toMatchObject([
      { $typeName: "shop.notification.v1.NotificationSent", customerId, template },
    ]);
  });

  test("gives one mail, though its event comes under two ids", async () => {
    const { customerId, email } = await registered();
    const order = { orderId: `order-${randomUUID()}`, customerId, total: euro(100) };
    await orders.publish(order);
    const seq = await orders.publish(order);
    await handled(sql, "notification__orders", OrderConfirmedSchema, { key: order.orderId, seq });
    await ended(customerId);
    expect(mailsTo(email)).toHaveLength(1);
  });
});

test("each refund of an order gives its customer one mail, though its event comes under two ids", async () => {
  const { customerId, email } = await registered();
  const order = { orderId: `order-${randomUUID()}`, customerId };
  const part = { ...order, amount: euro(300), refundedTotal: euro(300) };
  const rest = { ...order, amount: euro(999), refundedTotal: euro(1_299) };
  await refunds.publish(part);
  await refunds.publish(part);
  await refunds.publish(rest);
  const sent = await until(async () => {
    const all = await notificationsOf(customerId);
    return all.length === 2 && all.every(({ state }) => state === NotificationState.SENT) && all;
  });
  expect(sent.map(({ template }) => template)).toEqual([
    Template.PAYMENT_REFUNDED,
    Template.PAYMENT_REFUNDED,
  ]);
  const texts = mailsTo(email).map(({ text }) => text.match(/paid (\S+) EUR of your order (\S+) back/));
  expect(texts.map((found) => found?.[1]).sort()).toEqual(["3.00", "9.99"]);
  expect(texts.map((found) => found?.[2])).toEqual([order.orderId, order.orderId]);
});

describe("the command SendNotification", () => {
  test("waits for a customer who is not known here yet", async () => {
    const { customerId, ...customer } = newCustomer();
    await commands.publish({ customerId, template: Template.WELCOME, requestId: "welcome" });
    await until(async () => (await notificationsOf(customerId)).length > 0);
    expect(await notificationsOf(customerId)).toMatchObject([{ state: NotificationState.PENDING }]);
    await customers.publish({ customerId, ...customer });
    expect(await ended(customerId)).toMatchObject({ state: NotificationState.SENT });
    expect(mailsTo(customer.email)).toMatchObject([{ subject: "Welcome" }]);
  });

  test("given twice under one request id sends one mail", async () => {
    const { customerId, email } = await registered();
    const command = { customerId, template: Template.WELCOME, requestId: "welcome" };
    await commands.publish(command);
    await commands.publish(command);
    await ended(customerId);
    await commands.publish({ customerId, template: Template.WELCOME, requestId: "another" });
    await until(() => mailsTo(email).length === 2);
    expect(await notificationsOf(customerId)).toHaveLength(2);
  });

  test("that lacks data is rejected by an event, and no mail is tried", async () => {
    const { customerId, email } = await registered();
    await commands.publish({ customerId, template: Template.ORDER_REJECTED, data: { order_id: "o-1" } });
    const failed = await ended(customerId);
    expect(failed).toMatchObject({ state: NotificationState.FAILED, failureReason: "DATA_MISSING" });
    expect(await announced(failed.notificationId)).toMatchObject([
      { $typeName: "shop.notification.v1.NotificationFailed", customerId, reason: "DATA_MISSING" },
    ]);
    expect(mailsTo(email)).toEqual([]);
  });
});

describe("SendNotification", () => {
  test("answers at once, and the mail follows; repeated, it is the same one", async () => {
    const { customerId, email } = await registered();
    const request = { customerId, template: Template.WELCOME, requestId: randomUUID() };
    const [first, second] = await Promise.all([
      client.sendNotification(request),
      client.sendNotification(request),
    ]);
    expect(second).toEqual(first);
    expect(first.notification).toMatchObject({ customerId, template: Template.WELCOME });
    await ended(customerId);
    expect(mailsTo(email)).toHaveLength(1);
  });

  test("refuses a customer that nobody knows, and a template without its data", async () => {
    const unknown = client.sendNotification({ customerId: "cust-none", template: Template.WELCOME });
    expect(await refusalOf(unknown)).toEqual({
      code: "NotFound",
      reason: "CUSTOMER_NOT_FOUND",
      domain: "shop.notification.v1",
    });
    const { customerId } = await registered();
    const empty = client.sendNotification({ customerId, template: Template.ORDER_CONFIRMED });
    expect(await refusalOf(empty)).toMatchObject({ code: "InvalidArgument", reason: "DATA_MISSING" });
    expect(await notificationsOf(customerId)).toEqual([]);
  });

  test("names each bad field", async () => {
    const request = { customerId: "a b", template: 77 as Template, data: { "": "x".repeat(501) } };
    expect(await refusalOf(client.sendNotification(request))).toMatchObject({
      reason: "INVALID_REQUEST",
      fields: expect.arrayContaining(["customer_id", "template"]),
    });
  });
});

test("an address that the mail server refuses has failed at once", async () => {
  const { customerId } = await registered("nobody");
  await client.sendNotification({ customerId, template: Template.WELCOME });
  const failed = await ended(customerId);
  expect(failed).toMatchObject({ state: NotificationState.FAILED, failureReason: "MAIL_REFUSED" });
  const attempts =
    await sql`SELECT step_attempts FROM delivery WHERE notification_id = ${failed.notificationId}`;
  expect(attempts).toMatchObject([{ step_attempts: 1 }]);
});

test("a mail server that is busy, then away, gets each mail once when it is back", async () => {
  const { customerId, email } = await registered("busy");
  isBusy = true;
  await client.sendNotification({ customerId, template: Template.WELCOME });
  await until(async () => {
    const [row] = await sql`
      SELECT step_attempts FROM delivery JOIN notification USING (notification_id) WHERE customer_id = ${customerId}`;
    return (row?.step_attempts ?? 0) >= 2;
  });
  await sink.stop();
  isBusy = false;
  sink = await startMailSink(sinkOptions);
  expect(await ended(customerId)).toMatchObject({ state: NotificationState.SENT });
  expect(mailsTo(email)).toHaveLength(1);
});

test("a mail that could not be sent within a day has failed", async () => {
  const { customerId } = await registered("busy");
  isBusy = true;
  atEnd(async () => {
    isBusy = false;
  });
  await client.sendNotification({ customerId, template: Template.WELCOME });
  await sql`
    UPDATE delivery SET deadline_at = now(), next_attempt_at = now()
    WHERE notification_id IN (SELECT notification_id FROM notification WHERE customer_id = ${customerId})`;
  expect(await ended(customerId)).toMatchObject({ failureReason: "TIMEOUT" });
});

test("a runner that died after the mail was taken sends it again, under the same Message-ID", async () => {
  const { customerId, email } = await registered();
  await client.sendNotification({ customerId, template: Template.WELCOME });
  const { notificationId } = await ended(customerId);
  // As it stands if nobody recorded the server's answer, and the lease has run out.
  await sql`UPDATE notification SET state = 'PENDING' WHERE notification_id = ${notificationId}`;
  await sql`
    UPDATE delivery SET state = 'PENDING', next_attempt_at = now() WHERE notification_id = ${notificationId}`;
  await until(() => mailsTo(email).length === 2);
  await ended(customerId);
  expect(new Set(mailsTo(email).map(({ messageId }) => messageId)).size).toBe(1);
});

test("ListNotifications lists newest first, page by page, and refuses a token that is none", async () => {
  const { customerId } = await registered();
  const sent: string[] = [];
  for (let n = 0; n < 3; n++) {
    const { notification } = await client.sendNotification({ customerId, template: Template.WELCOME });
    sent.unshift(notification?.notificationId ?? "");
  }
  const first = await client.listNotifications({ customerId, pageSize: 2 });
  const second = await client.listNotifications({ customerId, pageSize: 2, pageToken: first.nextPageToken });
  const ids = [...first.notifications, ...second.notifications].map(({ notificationId }) => notificationId);
  expect(ids).toEqual(sent);
  expect(second.nextPageToken).toBe("");
  const bad = client.listNotifications({ customerId, pageToken: "page-2" });
  expect(await refusalOf(bad)).toMatchObject({ code: "InvalidArgument", fields: ["page_token"] });
});

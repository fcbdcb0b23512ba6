import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { CustomerService } from "../gen/shop/customer/v1/customer_service_pb.ts";
import { NotificationService } from "../gen/shop/notification/v1/notification_service_pb.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testService } from "../mesh/testing/service.ts";
import { until } from "../mesh/testing/until.ts";
import { startApp as startCustomer } from "../services/customer/app.ts";
import { readSettings as readCustomerSettings } from "../services/customer/config.ts";
import { startApp as startNotification } from "../services/notification/app.ts";
import { readSettings as readNotificationSettings } from "../services/notification/config.ts";
import { startMailSink } from "../tools/local/mail-sink.ts";
import { freePort } from "../tools/local/ports.ts";

const sink = await startMailSink({
  smtpPort: await freePort(),
  pagePort: 0,
  file: join(mkdtempSync(join(inject("testDir"), "mails-")), "mails.jsonl"),
});
atEnd(() => sink.stop());
const customers = await testService({
  contract: CustomerService,
  readSettings: readCustomerSettings,
  start: startCustomer,
});
const notifications = await testService({
  contract: NotificationService,
  readSettings: readNotificationSettings,
  start: startNotification,
  env: { SMTP_URL: sink.smtpUrl },
});

test("what a call carries goes through outbox, broker and consumer, and with the steps of a saga, into what comes of it", async () => {
  const carried = { tenant: "acme", baggage: "plan=gold,team=a%20b" };
  const customer = { email: "grace@example.com", displayName: "Grace", password: "grace-secret" };
  await customers.client.createCustomer(customer, { headers: { ...carried, "x-other": "not passed on" } });
  // The mail is sent by a saga, for a command that the call has sent.
  const [sent] = await until(async () => {
    const rows = await notifications.sql<{ headers: Record<string, string> }[]>`
      SELECT headers FROM outbox WHERE type = 'shop.notification.v1.NotificationSent'`;
    return rows.length > 0 && rows;
  });
  expect(sent?.headers).toMatchObject(carried);
  expect(sent?.headers).not.toHaveProperty("x-other");
});

test("what is too long to go along stays behind, and the call goes on", async () => {
  const customer = { email: "ada@example.com", displayName: "Ada", password: "ada-secret-1" };
  const headers = { tenant: "acme", baggage: `plan=${"x".repeat(3_000)}` };
  await customers.client.createCustomer(customer, { headers });
  const [row] = await customers.sql<{ headers: Record<string, string> }[]>`
    SELECT headers FROM outbox WHERE type = 'shop.customer.v1.CustomerRegistered' ORDER BY id DESC LIMIT 1`;
  expect(row?.headers).toMatchObject({ tenant: "acme" });
  expect(row?.headers).not.toHaveProperty("baggage");
});

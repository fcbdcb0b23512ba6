import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { Money } from "../../gen/google/type/money_pb.ts";
import {
  PaymentAuthorizedSchema,
  PaymentCapturedSchema,
  PaymentDeclinedSchema,
  PaymentRefundedSchema,
  PaymentVoidedSchema,
} from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { PaymentState } from "../../gen/shop/payment/v1/payment_pb.ts";
import {
  type AuthorizePaymentRequestSchema,
  PaymentService,
  type RefundPaymentRequestSchema,
} from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { euro, toCents } from "../../mesh/core/money.ts";
import { manualClock } from "../../mesh/testing/clock.ts";
import { published } from "../../mesh/testing/published.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const clock = manualClock();
const payment = await testService({
  contract: PaymentService,
  readSettings,
  start: (settings) => startApp(settings, clock),
});
const { client, sql } = payment;

const DOMAIN = "shop.payment.v1";
const failedPrecondition = (reason: string) => ({ code: "FailedPrecondition", reason, domain: DOMAIN });
const NOT_FOUND = { code: "NotFound", reason: "PAYMENT_NOT_FOUND", domain: DOMAIN };
const DIFFERS = { code: "AlreadyExists", reason: "PAYMENT_DIFFERS", domain: DOMAIN };
const AWAY = { code: "Unavailable", reason: "PROVIDER_UNAVAILABLE", domain: DOMAIN };

function wanted(
  orderId: string,
  paymentToken = "tok_ok",
  cents = 1_299,
): MessageInitShape<typeof AuthorizePaymentRequestSchema> {
  return { orderId, customerId: "cust-ada", amount: euro(cents), paymentToken };
}

async function authorized(orderId = newId()): Promise<string> {
  await client.authorizePayment(wanted(orderId));
  return orderId;
}

async function charged(): Promise<string> {
  const orderId = await authorized();
  await client.capturePayment({ orderId });
  return orderId;
}

async function stateOf(orderId: string): Promise<PaymentState | undefined> {
  return (await client.getPayment({ orderId })).payment?.state;
}

const centsOf = (amount: Money | undefined) => (amount ? toCents(amount) : "nothing");

/** What was announced of an order, in order: the event and its amounts in cents. */
async function announced(orderId: string): Promise<string[]> {
  const schemas = [
    PaymentAuthorizedSchema,
    PaymentDeclinedSchema,
    PaymentCapturedSchema,
    PaymentVoidedSchema,
    PaymentRefundedSchema,
  ];
  return (await published(sql, schemas, orderId)).map((event) => {
    const name = event.$typeName.replace(`${DOMAIN}.`, "");
    const inAll = "refundedTotal" in event ? `, ${centsOf(event.refundedTotal)} in all` : "";
    return `${name} ${centsOf(event.amount)}${inAll}`;
  });
}

/** What the provider says of an order. */
async function providerSays(orderId: string): Promise<string | undefined> {
  const [row] = await sql<{ outcome: string }[]>`
    SELECT outcome FROM simulated_provider_hold WHERE key = ${orderId}`;
  return row?.outcome;
}

const TIMES = [...Array(10).keys()];

test("an authorised payment is held, announced once, and can be read", async () => {
  const orderId = newId();
  const { payment } = await client.authorizePayment(wanted(orderId));
  expect(payment).toMatchObject({
    orderId,
    customerId: "cust-ada",
    amount: euro(1_299),
    state: PaymentState.AUTHORIZED,
  });
  expect(payment?.refunded).toBeUndefined();
  expect(payment?.createTime?.seconds).toBeGreaterThan(0n);
  expect((await client.getPayment({ orderId })).payment).toEqual(payment);
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299"]);
});

test("authorising again answers the same payment, and announces nothing", async () => {
  const orderId = newId();
  const first = await client.authorizePayment(wanted(orderId));
  expect(await client.authorizePayment(wanted(orderId))).toEqual(first);
  await client.capturePayment({ orderId });
  expect((await client.authorizePayment(wanted(orderId))).payment?.state).toBe(PaymentState.CAPTURED);
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299", "PaymentCaptured 1299"]);
});

test("authorising an order for another amount or customer is refused", async () => {
  const orderId = await authorized();
  expect(await refusalOf(client.authorizePayment(wanted(orderId, "tok_ok", 1_300)))).toEqual(DIFFERS);
  const other = { ...wanted(orderId), customerId: "cust-grace" };
  expect(await refusalOf(client.authorizePayment(other))).toEqual(DIFFERS);
});

test("a declined payment stays declined, whatever token comes next", async () => {
  const orderId = newId();
  const declined = failedPrecondition("PAYMENT_DECLINED");
  expect(await refusalOf(client.authorizePayment(wanted(orderId, "tok_declined")))).toEqual(declined);
  expect(await refusalOf(client.authorizePayment(wanted(orderId, "tok_ok")))).toEqual(declined);
  expect(await refusalOf(client.capturePayment({ orderId }))).toEqual(declined);
  expect(await stateOf(orderId)).toBe(PaymentState.DECLINED);
  expect(await announced(orderId)).toEqual(["PaymentDeclined 1299"]);
});

test("an unknown token is refused, and the order can still be paid with a good one", async () => {
  const orderId = newId();
  const unknown = client.authorizePayment(wanted(orderId, "tok_stolen"));
  expect(await refusalOf(unknown)).toEqual(failedPrecondition("UNKNOWN_TOKEN"));
  expect(await refusalOf(client.getPayment({ orderId }))).toEqual(NOT_FOUND);
  await client.authorizePayment(wanted(orderId));
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299"]);
});

test("a flaky provider fails twice per order, counted across restarts of the service", async () => {
  const [orderId, other] = [newId(), newId()];
  expect(await refusalOf(client.authorizePayment(wanted(orderId, "tok_flaky")))).toEqual(AWAY);
  const { databaseUrl } = payment;
  const next = await testService({ contract: PaymentService, readSettings, start: startApp, databaseUrl });
  expect(await refusalOf(next.client.authorizePayment(wanted(orderId, "tok_flaky")))).toEqual(AWAY);
  await next.client.authorizePayment(wanted(orderId, "tok_flaky"));
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299"]);
  expect(await refusalOf(client.authorizePayment(wanted(other, "tok_flaky")))).toEqual(AWAY);
});

test("a slow provider is waited for with no transaction open, and the payment is unseen meanwhile", async () => {
  const orderId = newId();
  const asked = client.authorizePayment(wanted(orderId, "tok_slow"));
  await clock.whenSleeping(1);
  const [open] = await sql<{ count: number }[]>`
    SELECT count(*)::int FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'`;
  expect(open?.count).toBe(0);
  expect(await refusalOf(client.getPayment({ orderId }))).toEqual(NOT_FOUND);
  expect(await refusalOf(client.capturePayment({ orderId }))).toEqual(NOT_FOUND);
  expect(await refusalOf(client.refundPayment({ orderId, amount: euro(1) }))).toEqual(NOT_FOUND);
  clock.advance(3_000);
  expect((await asked).payment?.state).toBe(PaymentState.AUTHORIZED);
});

test("a caller who goes while the provider is slow ends the wait, and may come back", async () => {
  const orderId = newId();
  const going = new AbortController();
  const asked = client.authorizePayment(wanted(orderId, "tok_slow"), { signal: going.signal });
  await clock.whenSleeping(1);
  going.abort();
  await expect(asked).rejects.toThrow();
  await clock.whenSleeping(0);
  expect(await providerSays(orderId)).toBeUndefined();
  await client.authorizePayment(wanted(orderId));
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299"]);
});

test("a provider that is silent is waited for no longer than the caller waits, and is let go by a void", async () => {
  const orderId = newId();
  const asked = refusalOf(client.authorizePayment(wanted(orderId, "tok_silent"), { timeoutMs: 300 }));
  // On a busy machine the time may be over before the provider is asked: then it never is.
  await Promise.race([clock.whenSleeping(1), asked]);
  clock.advance(300_000);
  expect(await asked).toMatchObject({ code: "DeadlineExceeded" });
  await clock.whenSleeping(0);
  expect(await providerSays(orderId)).toBeUndefined();
  await client.voidPayment({ orderId });
  expect(await providerSays(orderId)).toBe("RELEASED");
  expect(await stateOf(orderId)).toBe(PaymentState.VOIDED);
});

test("a void that comes while the provider is asked wins, and what was held is let go", async () => {
  const orderId = newId();
  const asked = refusalOf(client.authorizePayment(wanted(orderId, "tok_slow")));
  await clock.whenSleeping(1);
  const { payment } = await client.voidPayment({ orderId });
  expect(payment).toMatchObject({ customerId: "cust-ada", state: PaymentState.VOIDED });
  expect(payment?.amount).toBeUndefined();
  clock.advance(3_000);
  expect(await asked).toEqual(failedPrecondition("PAYMENT_VOIDED"));
  expect(await providerSays(orderId)).toBe("RELEASED");
  expect(await stateOf(orderId)).toBe(PaymentState.VOIDED);
  expect(await announced(orderId)).toEqual(["PaymentVoided nothing"]);
});

test("duplicates that wait for the provider together end with one payment", async () => {
  const orderId = newId();
  const asked = [1, 2, 3].map(() => client.authorizePayment(wanted(orderId, "tok_slow")));
  await clock.whenSleeping(3);
  clock.advance(3_000);
  const [first, ...others] = await Promise.all(asked);
  for (const other of others) expect(other).toEqual(first);
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299"]);
});

test("duplicates at the same moment end with one payment, whatever their tokens", async () => {
  const orderId = newId();
  const asked = TIMES.map((i) => client.authorizePayment(wanted(orderId, i % 2 ? "tok_ok" : "tok_declined")));
  const settled = new Set((await Promise.allSettled(asked)).map(({ status }) => status));
  const approved = (await stateOf(orderId)) === PaymentState.AUTHORIZED;
  expect(settled).toEqual(new Set([approved ? "fulfilled" : "rejected"]));
  expect((await announced(orderId)).length).toBe(1);
});

test("what a killed process left undecided is decided at once by the next call, as the provider remembers it", async () => {
  const orderId = newId();
  await sql`
    INSERT INTO payment (order_id, customer_id, amount_cents, state)
    VALUES (${orderId}, 'cust-ada', 1299, 'AUTHORIZING')`;
  await sql`INSERT INTO simulated_provider_hold (key, outcome) VALUES (${orderId}, 'DECLINED')`;
  const asked = client.authorizePayment(wanted(orderId, "tok_slow"));
  expect(await refusalOf(asked)).toEqual(failedPrecondition("PAYMENT_DECLINED"));
  expect(await announced(orderId)).toEqual(["PaymentDeclined 1299"]);
});

test("capturing charges once, however often it is asked", async () => {
  const orderId = await authorized();
  const answers = await Promise.all(TIMES.map(() => client.capturePayment({ orderId })));
  expect(new Set(answers.map((answer) => answer.payment?.state))).toEqual(new Set([PaymentState.CAPTURED]));
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299", "PaymentCaptured 1299"]);
});

test("voiding lets the hold go once, and then nothing can be captured or authorised", async () => {
  const orderId = await authorized();
  const answers = await Promise.all(TIMES.map(() => client.voidPayment({ orderId })));
  for (const { payment } of answers) {
    expect(payment).toMatchObject({ state: PaymentState.VOIDED, amount: euro(1_299) });
  }
  expect(await providerSays(orderId)).toBe("RELEASED");
  const voided = failedPrecondition("PAYMENT_VOIDED");
  expect(await refusalOf(client.capturePayment({ orderId }))).toEqual(voided);
  expect(await refusalOf(client.authorizePayment(wanted(orderId)))).toEqual(voided);
  expect(await announced(orderId)).toEqual(["PaymentAuthorized 1299", "PaymentVoided 1299"]);
});

test("voiding an unknown order is remembered, so that a late authorisation is refused", async () => {
  const orderId = newId();
  await Promise.all(TIMES.map(() => client.voidPayment({ orderId })));
  const { payment } = await client.getPayment({ orderId });
  expect(payment).toMatchObject({ orderId, customerId: "", state: PaymentState.VOIDED });
  expect(payment?.amount).toBeUndefined();
  const late = client.authorizePayment(wanted(orderId));
  expect(await refusalOf(late)).toEqual(failedPrecondition("PAYMENT_VOIDED"));
  expect(await announced(orderId)).toEqual(["PaymentVoided nothing"]);
});

test("voiding a declined payment changes nothing, and a charged one is refused", async () => {
  const declined = newId();
  await refusalOf(client.authorizePayment(wanted(declined, "tok_declined")));
  expect((await client.voidPayment({ orderId: declined })).payment?.state).toBe(PaymentState.DECLINED);
  expect(await announced(declined)).toEqual(["PaymentDeclined 1299"]);
  const orderId = await charged();
  expect(await refusalOf(client.voidPayment({ orderId }))).toEqual(failedPrecondition("PAYMENT_CAPTURED"));
  expect(await providerSays(orderId)).toBe("APPROVED");
});

test("refunds sum up to what was charged, each announced with its amount and the total", async () => {
  const orderId = await charged();
  const first = await client.refundPayment({ orderId, amount: euro(500) });
  expect(first.payment).toMatchObject({ state: PaymentState.CAPTURED, refunded: euro(500) });
  const tooMuch = client.refundPayment({ orderId, amount: euro(800) });
  expect(await refusalOf(tooMuch)).toEqual(failedPrecondition("REFUND_EXCEEDS_CAPTURE"));
  const last = await client.refundPayment({ orderId, amount: euro(799) });
  expect(last.payment).toMatchObject({ state: PaymentState.REFUNDED, refunded: euro(1_299) });
  const refunds = ["PaymentRefunded 500, 500 in all", "PaymentRefunded 799, 1299 in all"];
  expect((await announced(orderId)).slice(2)).toEqual(refunds);
  expect((await client.capturePayment({ orderId })).payment?.state).toBe(PaymentState.REFUNDED);
  expect(await refusalOf(client.voidPayment({ orderId }))).toEqual(failedPrecondition("PAYMENT_CAPTURED"));
});

test("refunds at the same moment never pay back more than was charged", async () => {
  const orderId = await charged();
  const refunds = TIMES.map(() => client.refundPayment({ orderId, amount: euro(400) }));
  const settled = await Promise.allSettled(refunds);
  expect(settled.filter(({ status }) => status === "fulfilled").length).toBe(3);
  expect((await client.getPayment({ orderId })).payment?.refunded).toMatchObject(euro(1_200));
  expect((await announced(orderId)).length).toBe(2 + 3);
});

test("a refund under a request id is paid once, and the id is not for another one", async () => {
  const orderId = await charged();
  const request = { orderId, amount: euro(300), requestId: newId() };
  const answers = await Promise.all([1, 2, 3].map(() => client.refundPayment(request)));
  await client.refundPayment({ orderId, amount: euro(100) });
  answers.push(await client.refundPayment(request));
  for (const { payment } of answers) expect(payment?.refunded).toMatchObject(euro(300));
  expect((await announced(orderId)).slice(2)).toEqual([
    "PaymentRefunded 300, 300 in all",
    "PaymentRefunded 100, 400 in all",
  ]);
  expect(await refusalOf(client.refundPayment({ ...request, amount: euro(301) }))).toEqual({
    code: "AlreadyExists",
    reason: "REQUEST_ID_REUSED",
    domain: "mesh.weft",
  });
});

test("what is not charged cannot be refunded, and a refused refund is not remembered", async () => {
  const orderId = await authorized();
  const request = { orderId, amount: euro(300), requestId: newId() };
  expect(await refusalOf(client.refundPayment(request))).toEqual(failedPrecondition("NOT_CAPTURED"));
  await client.capturePayment({ orderId });
  expect((await client.refundPayment(request)).payment?.refunded).toMatchObject(euro(300));
});

test("an order without a payment is not found", async () => {
  const orderId = newId();
  expect(await refusalOf(client.getPayment({ orderId }))).toEqual(NOT_FOUND);
  expect(await refusalOf(client.capturePayment({ orderId }))).toEqual(NOT_FOUND);
  expect(await refusalOf(client.refundPayment({ orderId, amount: euro(1) }))).toEqual(NOT_FOUND);
});

const invalid = (...fields: string[]) => ({
  code: "InvalidArgument",
  reason: "INVALID_REQUEST",
  domain: "mesh.weft",
  fields,
});

test.each([
  ["an empty order", { orderId: "" }, "order_id"],
  ["an order with a blank", { orderId: "a b" }, "order_id"],
  ["no customer", { customerId: "" }, "customer_id"],
  ["no amount", { amount: undefined }, "amount"],
  ["a negative amount", { amount: euro(-1) }, "amount"],
  ["a part of a cent", { amount: { currencyCode: "EUR", units: 1n, nanos: 1 } }, "amount"],
  ["another currency", { amount: { currencyCode: "USD", units: 1n } }, "amount"],
  ["no token", { paymentToken: "" }, "payment_token"],
])("authorising refuses %s", async (_, wrong, field) => {
  const request = { ...wanted(newId()), ...wrong } as ReturnType<typeof wanted>;
  expect(await refusalOf(client.authorizePayment(request))).toEqual(invalid(field));
});

test.each([
  ["no amount", { amount: undefined }, "amount"],
  ["nothing", { amount: euro(0) }, "amount"],
  ["a request id with a blank", { requestId: "a b" }, "request_id"],
])("refunding refuses %s", async (_, wrong, field) => {
  type Request = MessageInitShape<typeof RefundPaymentRequestSchema>;
  const request = { orderId: "order-1", amount: euro(1), ...wrong } as Request;
  expect(await refusalOf(client.refundPayment(request))).toEqual(invalid(field));
});

test("every call refuses an order id that cannot be one", async () => {
  const calls = [client.capturePayment, client.voidPayment, client.getPayment];
  for (const call of calls) expect(await refusalOf(call({ orderId: "/" }))).toEqual(invalid("order_id"));
});

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { childOf, formatTraceparent, type Trace } from "../mesh/core/trace.ts";
import { type CollectedSpan, otlpCollector } from "../mesh/testing/otlp-collector.ts";
import { until } from "../mesh/testing/until.ts";
import { openShop } from "./shop.ts";

/** What is asked for an order, and for a review page. */
const ASKED_BY_ORDER = [
  "shop.customer.v1.CustomerService/GetCustomer",
  "shop.product.v1.ProductService/BatchGetProducts",
  "shop.product.v1.ProductService/ReserveStock",
  "shop.payment.v1.PaymentService/AuthorizePayment",
  "shop.product.v1.ProductService/CommitStock",
  "shop.payment.v1.PaymentService/CapturePayment",
];
const ASKED_BY_REVIEW = "shop.product.v1.ProductService/GetProduct";

// Attempts are counted here, and on a busy machine one may take longer than the second that it has by its contract.
const patient = { timeout: "30s", retry: { maxAttempts: 1 } };
const methods = Object.fromEntries([...ASKED_BY_ORDER, ASKED_BY_REVIEW].map((each) => [each, patient]));
const policyFile = join(mkdtempSync(join(inject("testDir"), "policies-")), "policies.json");
writeFileSync(policyFile, JSON.stringify({ methods }));

const collector = await otlpCollector();
const shop = await openShop({
  OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
  MESH_POLICY_FILE: policyFile,
});

const sampled = () => childOf(undefined, () => true);
const [ordering, reading] = [sampled(), sampled()];

const headersOf = (trace: Trace) => ({ headers: { traceparent: formatTraceparent(trace) } });

const line = { productId: "prod-espresso", quantity: 1 };
const wait = { seconds: 30n, nanos: 0 };
const wanted = { customerId: "cust-ada", lines: [line], paymentToken: "tok_ok", wait };
// The first call of each connection takes longer, and may be made twice.
await shop.orders.placeOrder(wanted);
const grinder = { ...wanted, lines: [{ productId: "prod-grinder", quantity: 1 }] };
const { order } = await shop.orders.placeOrder(grinder, headersOf(ordering));
await shop.reviews.getReviewedProduct({ productId: "prod-grinder" });
const page = await shop.reviews.getReviewedProduct({ productId: "prod-espresso" }, headersOf(reading));
// Review has heard of the order when its customer may say something of what she bought.
await until(() =>
  shop.reviews
    .createReview({ customerId: "cust-ada", productId: "prod-grinder", rating: 5 })
    .then(() => true)
    .catch(() => false),
);
// What ends in order sends its last spans first.
await shop.system.stop();

function spansOf({ traceId }: Trace): CollectedSpan[] {
  return collector.spans.filter((span) => span.traceId === traceId);
}

/** The one span of this name and kind. */
function only(spans: readonly CollectedSpan[], name: string, kind: CollectedSpan["kind"]): CollectedSpan {
  const found = spans.filter((span) => span.name === name && span.kind === kind);
  expect(found, `${kind} ${name}`).toHaveLength(1);
  return found[0] as CollectedSpan;
}

/** Follows one hop from its caller's span: the call, its attempt, and the answer of the other process. */
function expectHop(spans: readonly CollectedSpan[], from: CollectedSpan, method: string) {
  const call = only(spans, method, "client");
  const attempt = only(spans, `attempt ${method}`, "client");
  const answer = only(spans, method, "server");
  expect([call.parentId, attempt.parentId, answer.parentId]).toEqual([
    from.spanId,
    call.spanId,
    attempt.spanId,
  ]);
  expect([call.service, attempt.service]).toEqual([from.service, from.service]);
  expect(method).toContain(`shop.${answer.service}.v1.`);
  return answer;
}

/** The lines of all services' logs that carry this trace, by the instance that wrote them. */
function linesOf({ traceId }: Trace): { instance: string; spanId: string; method?: string }[] {
  const dir = join(shop.dataDir, "logs");
  return readdirSync(dir)
    .flatMap((file) => readFileSync(join(dir, file), "utf8").split("\n"))
    .filter((text) => text.includes(traceId))
    .map((text) => JSON.parse(text));
}

test("an order is one trace over its four services and their gRPC, the steps of its saga included", () => {
  expect(order?.state).toBe(OrderState.CONFIRMED);
  const spans = spansOf(ordering);
  const placed = only(spans, "shop.order.v1.OrderService/PlaceOrder", "server");
  expect(placed).toMatchObject({ service: "order", instance: "order-1", parentId: ordering.spanId });
  const answers = ASKED_BY_ORDER.map((method) => expectHop(spans, placed, method));
  expect(answers.map(({ attributes }) => attributes["rpc.system.name"])).toEqual(answers.map(() => "grpc"));
  const calls = spans.filter(({ kind }) => kind === "client" || kind === "server");
  expect(calls).toHaveLength(1 + 3 * answers.length);
});

test("what the order announced is in the same trace: from its transaction through the broker into the consumers", () => {
  const spans = spansOf(ordering);
  const placed = only(spans, "shop.order.v1.OrderService/PlaceOrder", "server");
  const sent = only(spans, "send shop.order.v1.OrderConfirmed", "producer");
  expect(sent).toMatchObject({ service: "order", parentId: placed.spanId });
  expect(sent.attributes).toMatchObject({
    "messaging.system": "nats",
    "messaging.destination.name": "EVT_ORDER",
  });
  const handled = spans.filter(({ name }) => name === "process shop.order.v1.OrderConfirmed");
  expect(handled.map(({ kind }) => kind)).toEqual(handled.map(() => "consumer"));
  expect(handled.map(({ parentId }) => parentId)).toEqual(handled.map(() => sent.spanId));
  const byReview = handled.find(({ service }) => service === "review");
  expect(byReview?.attributes).toMatchObject({ "messaging.consumer.group.name": "review__buyers" });
});

test("a review page is one trace over its two services and their Connect", () => {
  expect(page.product?.productId).toBe("prod-espresso");
  const spans = spansOf(reading);
  const asked = only(spans, "shop.review.v1.ReviewService/GetReviewedProduct", "server");
  expect(asked).toMatchObject({ service: "review", parentId: reading.spanId });
  const answer = expectHop(spans, asked, ASKED_BY_REVIEW);
  expect(answer.attributes["rpc.system.name"]).toBe("connectrpc");
  expect(spans).toHaveLength(4);
});

test.each([
  ["an order", ordering],
  ["a review page", reading],
])("every service that answered a part of %s has logged it under the same ids", (_, trace) => {
  const answered = spansOf(trace).filter(({ kind }) => kind === "server");
  const lines = linesOf(trace).flatMap(({ instance, spanId, method }) =>
    method === undefined ? [] : [`${instance} ${spanId} ${method}`],
  );
  expect(answered.length).toBeGreaterThan(1);
  expect(lines.sort()).toEqual(
    answered.map(({ instance, spanId, name }) => `${instance} ${spanId} ${name}`).sort(),
  );
});

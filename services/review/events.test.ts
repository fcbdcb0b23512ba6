import { expect, test } from "vitest";
import { OrderConfirmedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { handled, testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const orders = await testPublisher(OrderConfirmedSchema);
const { client, sql } = await testService({ contract: ReviewService, readSettings, start: startApp });

async function confirm(orderId: string, customerId: string, ...productIds: string[]): Promise<void> {
  const lines = productIds.map((productId) => ({ productId, quantity: 1 }));
  const seq = await orders.publish({ orderId, customerId, lines });
  await handled(sql, "review__buyers", OrderConfirmedSchema, { key: orderId, seq });
}

const review = (customerId: string, productId: string) =>
  client.createReview({ customerId, productId, rating: 5 });

test("a confirmed order lets its customer, and nobody else, review each product of it", async () => {
  expect(await refusalOf(review("cust-ada", "prod-espresso"))).toMatchObject({ reason: "NOT_A_BUYER" });
  await confirm("order-1", "cust-ada", "prod-espresso", "prod-grinder");
  await review("cust-ada", "prod-espresso");
  await review("cust-ada", "prod-grinder");
  expect(await refusalOf(review("cust-grace", "prod-espresso"))).toMatchObject({ reason: "NOT_A_BUYER" });
  expect(await refusalOf(review("cust-ada", "prod-rare"))).toMatchObject({ reason: "NOT_A_BUYER" });
});

test("who buys a product again still may", async () => {
  await confirm("order-2", "cust-ops", "prod-rare");
  await confirm("order-3", "cust-ops", "prod-gone", "prod-rare");
  await review("cust-ops", "prod-rare");
  await review("cust-ops", "prod-gone");
});

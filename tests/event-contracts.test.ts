import { expect, test } from "vitest";
import { eventProblems } from "../mesh/contract/event-problems.ts";
import { ownFiles } from "../tools/contracts/shop-services.ts";

const files = await ownFiles();

test("all events, commands, streams and subscriptions of proto/ can work together", () => {
  expect(eventProblems(files, { isWhole: true })).toEqual([]);
});

test("a subscription whose event has gone is noticed", () => {
  const withoutOrders = files.filter(({ proto }) => proto.name !== "shop/order/v1/order_event.proto");
  expect(eventProblems(withoutOrders, { isWhole: true })).toContain(
    'shop.review.v1.ReviewService "buyers": there is no shop.order.v1.OrderConfirmed',
  );
});

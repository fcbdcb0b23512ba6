import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { methodPolicy } from "../contract/policy.ts";
import { putIdempotencyKey } from "./idempotency-key.ts";

const { placeOrder, cancelOrder } = OrderService.method;
const policy = methodPolicy(placeOrder);

function keyOf(said: string | undefined, requestId = ""): string {
  const message = create(placeOrder.input, { requestId });
  const header = new Headers(said === undefined ? {} : { "idempotency-key": said });
  putIdempotencyKey(header, placeOrder, message, policy);
  return message.requestId;
}

test("the header is the field that the contract names, with or without quotes", () => {
  expect(keyOf("k1")).toBe("k1");
  expect(keyOf('"k1"')).toBe("k1");
  expect(keyOf("k1", "k1")).toBe("k1");
});

test("without the header the request's own key holds", () => {
  expect(keyOf(undefined, "k2")).toBe("k2");
});

test("two keys are refused", () => {
  expect(() => keyOf("k1", "k2")).toThrow("idempotency-key: is another key than that of the request");
});

test("a method that is safe to repeat needs no key", () => {
  const message = create(cancelOrder.input, { orderId: "o1" });
  putIdempotencyKey(new Headers({ "idempotency-key": "k" }), cancelOrder, message, methodPolicy(cancelOrder));
  expect(message).toEqual(create(cancelOrder.input, { orderId: "o1" }));
});

test("a method that keeps no key and is not safe to repeat takes none", () => {
  const header = new Headers({ "idempotency-key": "k" });
  const unsafe = { ...policy, keyField: undefined };
  expect(() => putIdempotencyKey(header, placeOrder, create(placeOrder.input), unsafe)).toThrow(
    "PlaceOrder keeps no key",
  );
});

import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { PlaceOrderRequestSchema } from "../../../gen/shop/order/v1/order_service_pb.ts";
import {
  ProductService,
  type WatchStockRequest,
  WatchStockRequestSchema,
} from "../../../gen/shop/product/v1/product_service_pb.ts";
import { invalidRequest, validateRequests, violationsOf } from "./validation.ts";

const order = { customerId: "cust-ada", paymentToken: "tok_ok", lines: [{ productId: "p1", quantity: 1 }] };
const violated = (init: Partial<typeof order>) => {
  const message = create(PlaceOrderRequestSchema, { ...order, ...init });
  return violationsOf(PlaceOrderRequestSchema, message).map(({ field }) => field);
};

test("a message that keeps its rules violates none", () => {
  expect(violated({})).toEqual([]);
});

test("every bad field is named by its path, whatever kind of rule it breaks", () => {
  expect(violated({ customerId: "", paymentToken: "" })).toEqual(["customer_id", "payment_token"]);
  expect(violated({ lines: [] })).toEqual(["lines"]);
  const lines = [
    { productId: "p1", quantity: 1 },
    { productId: "p1", quantity: 0 },
  ];
  expect(violated({ lines })).toEqual(expect.arrayContaining(["lines", "lines[1].quantity"]));
});

test("the refusal says in words what the details say in parts", () => {
  const violations = [
    { field: "lines", description: "is empty" },
    { field: "", description: "makes no sense" },
  ];
  const refusal = invalidRequest(violations);
  expect(refusal).toMatchObject({ code: Code.InvalidArgument, reason: "INVALID_REQUEST", violations });
  expect(refusal.message).toBe("lines: is empty; makes no sense");
});

test("a stream's messages are checked one by one, as its handler asks for them", async () => {
  async function* messages() {
    yield create(WatchStockRequestSchema, { productIds: ["p1"] });
    yield create(WatchStockRequestSchema, { productIds: [] });
    expect.unreachable("nothing is asked for after a refusal");
  }
  const seen: string[] = [];
  const handler = validateRequests()(async (request) => {
    if (!request.stream) throw new Error("the request is a stream");
    for await (const message of request.message) {
      seen.push(...(message as WatchStockRequest).productIds);
    }
    return {} as never;
  });
  const request = { stream: true, method: ProductService.method.watchStock, message: messages() };
  await expect(handler(request as never)).rejects.toMatchObject({
    reason: "INVALID_REQUEST",
    violations: [{ field: "product_ids" }],
  });
  expect(seen).toEqual(["p1"]);
});

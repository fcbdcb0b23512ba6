import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { contentOf } from "./content.ts";
import { contracts } from "./contracts.ts";

test("a payload of a known type is JSON, personal data masked", () => {
  const event = create(CustomerRegisteredSchema, { customerId: "cust-1", email: "a@b.c", displayName: "A" });
  const payload = toBinary(CustomerRegisteredSchema, event);
  expect(contentOf(contracts, CustomerRegisteredSchema.typeName, payload)).toEqual({
    case: "content",
    value: { customerId: "cust-1", email: "***", displayName: "***" },
  });
});

test("a payload of an unknown type, or one that is none of its type, is shown as it came", () => {
  const payload = new Uint8Array([255, 1, 2]);
  for (const type of ["shop.order.v9.OrderTeleported", OrderPlacedSchema.typeName]) {
    expect(contentOf(contracts, type, payload)).toEqual({ case: "raw", value: payload });
  }
});

test("of bytes that are none of their type, which may hold personal data, size and digest are shown", () => {
  // A registration that was cut off behind the address.
  const event = create(CustomerRegisteredSchema, { customerId: "cust-1", email: "a@b.c", displayName: "A" });
  const cut = toBinary(CustomerRegisteredSchema, event).subarray(0, -1);
  expect(contentOf(contracts, CustomerRegisteredSchema.typeName, cut)).toMatchObject({
    case: "hidden",
    value: { sizeBytes: BigInt(cut.length), sha256: createHash("sha256").update(cut).digest("hex") },
  });
});

import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { CreateCustomerResponseSchema } from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { MASKED, mask } from "./mask.ts";

test("what the contract calls personal is taken out, and nothing else", () => {
  const event = create(CustomerRegisteredSchema, { customerId: "cust-1", email: "a@b.c", displayName: "A" });
  mask(CustomerRegisteredSchema, event);
  expect(event).toMatchObject({ customerId: "cust-1", email: MASKED, displayName: MASKED });
});

test("what is personal further down is taken out too", () => {
  const answer = create(CreateCustomerResponseSchema, { customer: { customerId: "cust-1", email: "a@b.c" } });
  mask(CreateCustomerResponseSchema, answer);
  expect(answer.customer).toMatchObject({ customerId: "cust-1", email: MASKED, displayName: "" });
});

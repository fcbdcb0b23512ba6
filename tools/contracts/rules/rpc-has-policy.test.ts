import { clearExtension, clearField } from "@bufbuild/protobuf";
import { MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./rpc-has-policy.ts";

const GET = "shop.order.v1.OrderService/GetOrder";

test("every RPC of the shop and of the mesh has a policy", () => {
  expect(objections(rule)).toEqual([]);
});

test("an RPC without a policy is named", () => {
  const found = objections(rule, ({ method }) => {
    const { options } = method(GET);
    if (options) clearExtension(options, policy);
  });
  expect(found).toEqual([`${GET} states no (mesh.policy.v1.method).`]);
});

test("an RPC that does not say whether it is safe to repeat is named; IDEMPOTENCY_UNKNOWN says it", () => {
  const found = objections(rule, ({ method }) => {
    const { options } = method(GET);
    if (options) clearField(options, MethodOptionsSchema.field.idempotencyLevel);
  });
  expect(found).toEqual([`${GET} states no idempotency_level.`]);
});

test("an RPC with no options at all lacks both", () => {
  const found = objections(rule, ({ method }) => {
    delete method(GET).options;
  });
  expect(found).toHaveLength(2);
});

import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { BreakerSchema, method as policy, service } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { editedContracts, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./policy-works.ts";

test("the policies of the shop work", () => {
  expect(objections(rule)).toEqual([]);
});

test("a method's policy that contradicts itself is named, at the method", () => {
  const contracts = editedContracts(({ method }) =>
    editOption(method("shop.order.v1.OrderService/GetOrder"), policy, (its) => {
      its.timeout = durationFromMs(61_000);
    }),
  );
  expect([...rule.check(contracts)]).toMatchObject([
    {
      at: { kind: "rpc", name: "GetOrder" },
      option: policy,
      message:
        "shop.order.v1.OrderService/GetOrder: its timeout of 61000 ms is longer than its max_timeout of 60000 ms.",
    },
  ]);
});

test("a service's policy that cannot work is named, at the service", () => {
  const contracts = editedContracts((editor) =>
    editOption(editor.service("shop.order.v1.OrderService"), service, (its) => {
      its.breaker = create(BreakerSchema, { failureRatio: 3 });
    }),
  );
  expect([...rule.check(contracts)]).toMatchObject([
    { at: { kind: "service", name: "OrderService" }, option: service },
  ]);
});

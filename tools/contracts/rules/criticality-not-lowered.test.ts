import { clearExtension } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { Criticality, method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./criticality-not-lowered.ts";

const GET = "shop.order.v1.OrderService/GetOrder";
const PLACE = "shop.order.v1.OrderService/PlaceOrder";

const matters =
  (name: string, criticality: Criticality) =>
  ({ method }: Editor) =>
    editOption(method(name), policy, (its) => {
      its.criticality = criticality;
    });

test("what matters as much as it did, or more, is fine", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, matters(GET, Criticality.CRITICAL_PLUS))).toEqual([]);
});

test.each([
  [PLACE, Criticality.CRITICAL, `${PLACE} lowers its criticality from CRITICAL_PLUS to CRITICAL.`],
  // Unspecified is CRITICAL.
  [PLACE, Criticality.UNSPECIFIED, `${PLACE} lowers its criticality from CRITICAL_PLUS to CRITICAL.`],
  [GET, Criticality.SHEDDABLE, `${GET} lowers its criticality from CRITICAL to SHEDDABLE.`],
])("%s is not refused sooner than it was: %s", (name, criticality, message) => {
  expect(objections(rule, matters(name, criticality))).toEqual([message]);
});

test("an RPC that had no policy has promised nothing", () => {
  const none = ({ method }: Editor) => {
    const { options } = method(GET);
    if (options) clearExtension(options, policy);
  };
  expect(objections(rule, matters(GET, Criticality.SHEDDABLE), none)).toEqual([]);
});

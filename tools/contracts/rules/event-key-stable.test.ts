import { expect, test } from "vitest";
import { contract, Ordering } from "../../../gen/mesh/event/v1/event_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./event-key-stable.ts";

const PLACED = "shop.order.v1.OrderPlaced";

const states =
  (its: { key?: string; ordering?: Ordering }) =>
  ({ message }: Editor) =>
    editOption(message(PLACED), contract, (stated) => void Object.assign(stated, its));

test("keys and orderings stay", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, states({ ordering: Ordering.UNSPECIFIED }))).toEqual([]);
});

test("another key is refused", () => {
  expect(objections(rule, states({ key: "customer_id" }))).toEqual([
    `${PLACED} changes its key from order_id to customer_id.`,
  ]);
});

test("a weaker ordering is refused, a stronger one is not", () => {
  expect(objections(rule, states({ ordering: Ordering.LATEST }))).toEqual([
    `${PLACED} weakens its ordering from STRICT to LATEST.`,
  ]);
  expect(objections(rule, undefined, states({ ordering: Ordering.LATEST }))).toEqual([]);
});

import { expect, test } from "vitest";
import { contract, Ordering } from "../../../gen/mesh/event/v1/event_pb.ts";
import { editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./event-has-key.ts";

const PLACED = "shop.order.v1.OrderPlaced";
const SEND = "shop.notification.v1.SendNotification";

test("what has an order has a key", () => {
  expect(objections(rule)).toEqual([]);
});

test("STRICT and LATEST without a key are refused", () => {
  for (const ordering of [Ordering.STRICT, Ordering.LATEST, Ordering.UNSPECIFIED]) {
    const found = objections(rule, ({ message }) =>
      editOption(message(PLACED), contract, (its) => {
        its.key = "";
        its.ordering = ordering;
      }),
    );
    expect(found).toEqual([`${PLACED}: without a key there is no order, so its ordering must be NONE.`]);
  }
});

test("a command without an order needs none", () => {
  const found = objections(rule, ({ message }) =>
    editOption(message(SEND), contract, (its) => {
      its.key = "";
    }),
  );
  expect(found).toEqual([]);
});

test("a key must be a text field", () => {
  const found = objections(rule, ({ message }) =>
    editOption(message(PLACED), contract, (its) => {
      its.key = "total";
    }),
  );
  expect(found).toEqual([`${PLACED}: its key "total" is not a text field of it.`]);
});

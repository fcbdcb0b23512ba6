import { expect, test } from "vitest";
import { contract, stream } from "../../../gen/mesh/event/v1/event_pb.ts";
import { editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./event-subject-unique.ts";

test("no two messages of the shop share a subject", () => {
  expect(objections(rule)).toEqual([]);
});

test("an aggregate that two services publish is named", () => {
  const found = objections(rule, ({ file }) => {
    const payments = file("shop/payment/v1/payment_event.proto");
    editOption(payments, stream, (its) => {
      its.name = "EVT_ORDER";
    });
    for (const message of payments.messageType)
      editOption(message, contract, (its) => {
        its.aggregate = "order";
      });
  });
  expect(found.length).toBeGreaterThan(0);
  expect(found[0]).toMatch(/publishes order, and so does/);
});

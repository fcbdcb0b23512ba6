import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { contract, StreamSchema, stream, subscriptions } from "../../../gen/mesh/event/v1/event_pb.ts";
import { editedContracts, editOption, setOption } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./events-work.ts";

test("the events of the shop fit together", () => {
  expect([...rule.check(editedContracts())]).toEqual([]);
});

test("a contract that cannot work is named at its message", () => {
  const contracts = editedContracts(({ message }) =>
    editOption(message("shop.order.v1.OrderPlaced"), contract, (its) => {
      its.ttl = durationFromMs(1_000);
    }),
  );
  expect([...rule.check(contracts)]).toMatchObject([
    {
      at: { kind: "message", name: "OrderPlaced" },
      option: contract,
      message: "shop.order.v1.OrderPlaced: a fact does not expire, so only a command has a ttl.",
    },
  ]);
});

test("a stream that cannot be is named at its file", () => {
  const contracts = editedContracts(({ file }) =>
    setOption(
      file("shop/order/v1/order_event.proto"),
      stream,
      create(StreamSchema, { name: "EVT_ORDER", maxAge: durationFromMs(60_000) }),
    ),
  );
  expect([...rule.check(contracts)]).toMatchObject([{ at: { kind: "file" }, option: stream }]);
});

test("a subscription that handles what is not of its aggregate is named at its service", () => {
  const contracts = editedContracts(({ service }) =>
    editOption(service("shop.review.v1.ReviewService"), subscriptions, ([first]) => {
      if (first) first.aggregate = "payment";
    }),
  );
  expect([...rule.check(contracts)]).toMatchObject([
    { at: { kind: "service", name: "ReviewService" }, option: subscriptions },
  ]);
});

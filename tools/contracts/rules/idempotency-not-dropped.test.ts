import { durationFromMs, MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./idempotency-not-dropped.ts";

const GET = "shop.order.v1.OrderService/GetOrder";
const CANCEL = "shop.order.v1.OrderService/CancelOrder";
const PLACE = "shop.order.v1.OrderService/PlaceOrder";

const level =
  (name: string, is: Level) =>
  ({ method }: Editor) => {
    const { options } = method(name);
    if (options) options.idempotencyLevel = is;
  };

test("what is safe to repeat stays so", () => {
  expect(objections(rule)).toEqual([]);
  expect(objections(rule, level(CANCEL, Level.NO_SIDE_EFFECTS))).toEqual([]);
});

test.each([
  ["no more idempotent", level(CANCEL, Level.IDEMPOTENCY_UNKNOWN), `${CANCEL} is not idempotent any more.`],
  [
    "with side effects",
    level(GET, Level.IDEMPOTENT),
    `${GET} has side effects now, so it can no more be cached or asked by GET.`,
  ],
  [
    "without its key",
    ({ method }: Editor) =>
      editOption(method(PLACE), policy, (its) => {
        its.idempotencyKeyField = "";
      }),
    `${PLACE} does not take requestId as its idempotency key any more.`,
  ],
  [
    "forgetting keys sooner",
    ({ method }: Editor) =>
      editOption(method(PLACE), policy, (its) => {
        its.dedupeTtl = durationFromMs(3_600_000);
      }),
    `${PLACE} remembers a key for 3600000 ms, no more for 86400000 ms.`,
  ],
])("an RPC %s is refused", (_, edit, message) => {
  expect(objections(rule, edit)).toEqual([message]);
});

test("a key that idempotency replaces is not missed", () => {
  const found = objections(rule, (editor) => {
    level(PLACE, Level.IDEMPOTENT)(editor);
    editOption(editor.method(PLACE), policy, (its) => {
      its.idempotencyKeyField = "";
    });
  });
  expect(found).toEqual([]);
});

test("a guarantee about a code is not taken back", () => {
  const guarantees = ({ method }: Editor) =>
    editOption(method(PLACE), policy, (its) => {
      its.notProcessedCodes = [Code.ABORTED];
    });
  expect(objections(rule, guarantees)).toEqual([]);
  expect(objections(rule, undefined, guarantees)).toEqual([
    `${PLACE} does not guarantee any more that nothing was done at ABORTED.`,
  ]);
});

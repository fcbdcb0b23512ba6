import { create } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { HedgeSchema, method as policy, RetrySchema } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { type Editor, editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./retry-needs-idempotency.ts";

const CANCEL = "shop.order.v1.OrderService/CancelOrder";
const PLACE = "shop.order.v1.OrderService/PlaceOrder";

/** An RPC of which nothing says that it may be repeated. */
function forgets({ method }: Editor): void {
  const { options } = method(CANCEL);
  if (options) options.idempotencyLevel = Level.IDEMPOTENCY_UNKNOWN;
}

test("what the shop retries may be repeated", () => {
  expect(objections(rule)).toEqual([]);
});

test("retries need idempotency", () => {
  expect(objections(rule, forgets)).toEqual([
    expect.stringContaining(`${CANCEL} asks for more than one attempt`),
  ]);
});

test("hedges need it too", () => {
  const found = objections(rule, (editor) => {
    forgets(editor);
    editOption(editor.method(CANCEL), policy, (its) => {
      its.redundancy = { case: "hedge", value: create(HedgeSchema) };
    });
  });
  expect(found).toHaveLength(1);
});

test("one attempt needs nothing, and the default retries only what nobody began", () => {
  for (const value of [create(RetrySchema, { maxAttempts: 1 }), undefined]) {
    const found = objections(rule, (editor) => {
      forgets(editor);
      editOption(editor.method(CANCEL), policy, (its) => {
        its.redundancy = value ? { case: "retry", value } : { case: undefined };
      });
    });
    expect(found).toEqual([]);
  }
});

test("a key is enough, and taking it away is not", () => {
  const found = objections(rule, ({ method }) =>
    editOption(method(PLACE), policy, (its) => {
      its.idempotencyKeyField = "";
    }),
  );
  expect(found).toEqual([expect.stringContaining(PLACE)]);
});

test("so are codes that say that nothing was done", () => {
  const found = objections(rule, (editor) => {
    forgets(editor);
    editOption(editor.method(CANCEL), policy, (its) => {
      its.notProcessedCodes = [10];
    });
  });
  expect(found).toEqual([]);
});

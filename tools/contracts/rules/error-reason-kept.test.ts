import { expect, test } from "vitest";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { code } from "../../../gen/mesh/error/v1/error_pb.ts";
import { type Editor, named, objections, remove, setOption } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./error-reason-kept.ts";

const reasons = (editor: Editor) => editor.enum("shop.order.v1.OrderError").value;

test("reasons stay", () => {
  expect(objections(rule)).toEqual([]);
});

test("a reason that is gone is named, also if its number is reserved", () => {
  const found = objections(rule, (editor) => remove(reasons(editor), "ORDER_ERROR_TIMEOUT"));
  expect(found).toEqual(["ORDER_ERROR_TIMEOUT is gone: callers may wait for it."]);
});

test("another name is another reason", () => {
  const found = objections(rule, (editor) => {
    named(reasons(editor), "ORDER_ERROR_TIMEOUT").name = "ORDER_ERROR_TOO_LATE";
  });
  expect(found).toEqual(["ORDER_ERROR_TIMEOUT is gone: callers may wait for it."]);
});

test("another code is refused", () => {
  const found = objections(rule, (editor) =>
    setOption(named(reasons(editor), "ORDER_ERROR_TIMEOUT"), code, Code.ABORTED),
  );
  expect(found).toEqual(["ORDER_ERROR_TIMEOUT has another gRPC code than it had."]);
});

test("a value of another enum is buf's matter", () => {
  expect(
    objections(rule, (editor) =>
      remove(editor.enum("shop.order.v1.OrderState").value, "ORDER_STATE_CANCELLED"),
    ),
  ).toEqual([]);
});

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { MeshErrorSchema } from "../../../gen/mesh/error/v1/error_pb.ts";
import { problemOf } from "./problem.ts";

function refusal(code: Code, reason: string, domain = "shop.order.v1"): ConnectError {
  return new ConnectError("for developers", code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain } },
  ]);
}

test("a refusal is told by its reason, before its code", () => {
  expect(problemOf(refusal(Code.NotFound, "ORDER_NOT_FOUND"))).toMatchObject({
    text: "There is no such order.",
    reason: "ORDER_NOT_FOUND",
    isUnknown: false,
    isPassing: false,
  });
  expect(problemOf(refusal(Code.NotFound, "NEW_REASON")).text).toBe("There is nothing here.");
});

test("no error's own text is shown", () => {
  for (const code of Object.values(Code).filter((each) => typeof each === "number"))
    expect(problemOf(new ConnectError("secret", code)).text).not.toContain("secret");
  expect(problemOf(new Error("secret")).text).toBe("Something went wrong on our side. Try again later.");
});

test("what is wrong with single fields is a sentence for each", () => {
  const fieldViolations = [
    { field: "lines[0].quantity", description: "must be greater than 0" },
    { field: "email", description: "must be at least 1 characters" },
  ];
  const error = new ConnectError("bad", Code.InvalidArgument, undefined, [
    { desc: BadRequestSchema, value: { fieldViolations } },
  ]);
  expect([...problemOf(error).fields]).toEqual([
    ["lines[0].quantity", "It must be greater than 0."],
    ["email", "Fill this in."],
  ]);
});

test.each([
  [Code.Unavailable, "", true],
  [Code.DeadlineExceeded, "", true],
  [Code.Internal, "", true],
  [Code.Unavailable, "SHED", false],
  [Code.FailedPrecondition, "", false],
  [Code.InvalidArgument, "", false],
])("after %s %s nobody knows whether it was carried out: %s", (code, reason, isUnknown) => {
  expect(problemOf(refusal(code, reason, "mesh.weft")).isUnknown).toBe(isUnknown);
});

test.each([
  [0, "Try again in a moment."],
  [12_001, "Try again in 13 seconds."],
  [600_000, "Try again in 10 minutes."],
])("who comes too often is told when to come back, such as after %i ms", (delayMs, text) => {
  const error = refusal(Code.ResourceExhausted, "RATE_LIMITED", "mesh.weft");
  error.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(delayMs) } });
  expect(problemOf(error)).toMatchObject({
    text: `That was too often in a short time. ${text}`,
    isPassing: true,
    isUnknown: false,
  });
});

test("the reasons of the mesh that a customer can do something about have words", () => {
  const reasons = MeshErrorSchema.values.map(({ localName }) => localName);
  for (const reason of ["INVALID_REQUEST", "REQUEST_ID_REUSED", "SHED"]) {
    expect(reasons).toContain(reason);
    expect(problemOf(refusal(Code.Unknown, reason)).text).not.toMatch(/on our side/);
  }
});

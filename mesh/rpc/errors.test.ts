import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AppError } from "../core/errors.ts";
import { markAsAnswer, reasonOf, toConnectError } from "./errors.ts";

const refusal = new AppError("only 3 are left", {
  code: Code.FailedPrecondition,
  reason: "OUT_OF_STOCK",
  domain: "shop.product.v1",
  metadata: { product_id: "p1" },
  cause: new Error("row 7"),
});

/** Code, text and reason of what leaves the service. */
function leaving(error: unknown) {
  const left = toConnectError(error);
  return { code: left.code, text: left.rawMessage, ...reasonOf(left), $typeName: undefined };
}

test("a refusal leaves as it is, its cause for the log only", () => {
  expect(leaving(refusal)).toMatchObject({
    code: Code.FailedPrecondition,
    text: "only 3 are left",
    reason: "OUT_OF_STOCK",
    domain: "shop.product.v1",
    metadata: { product_id: "p1" },
  });
  expect(toConnectError(refusal).cause).toBe(refusal);
});

test("bad fields are named in a BadRequest, and only those make one", () => {
  const violations = [{ field: "lines[0].quantity", description: "must be at least 1" }];
  const invalid = new AppError("no", { code: Code.InvalidArgument, reason: "X", domain: "d", violations });
  expect(toConnectError(invalid).findDetails(BadRequestSchema)).toMatchObject([
    { fieldViolations: [{ field: "lines[0].quantity", description: "must be at least 1" }] },
  ]);
  expect(toConnectError(refusal).findDetails(BadRequestSchema)).toEqual([]);
});

test.each([
  new Error("password=secret"),
  new TypeError("x is undefined"),
  "a thrown text",
  undefined,
  { message: "an object" },
])("%s leaves as INTERNAL, without its text", (error) => {
  expect(leaving(error)).toMatchObject({
    code: Code.Internal,
    text: "internal error",
    reason: "INTERNAL",
    domain: "mesh.weft",
  });
});

test("a part that is away makes the call UNAVAILABLE, however deep the cause", () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED 10.0.0.7:5432"), { code: "ECONNREFUSED" });
  const wrapped = new Error("query failed", { cause: new Error("pool", { cause: refused }) });
  for (const error of [refused, wrapped]) {
    const left = leaving(error);
    expect(left).toMatchObject({ code: Code.Unavailable, reason: "DEPENDENCY_UNAVAILABLE" });
    expect(left.text).not.toContain("10.0.0.7");
  }
});

describe("what a called service answered", () => {
  const answer = (code: Code) => leaving(markAsAnswer(new ConnectError("their words", code)));

  test.each([Code.Unavailable, Code.ResourceExhausted, Code.Canceled, Code.Aborted])(
    "with code %d makes our call UNAVAILABLE",
    (code) => {
      expect(answer(code)).toMatchObject({ code: Code.Unavailable, reason: "DEPENDENCY_UNAVAILABLE" });
    },
  );

  test("too late makes our call late", () => {
    expect(answer(Code.DeadlineExceeded)).toMatchObject({
      code: Code.DeadlineExceeded,
      reason: "DEADLINE_EXCEEDED",
    });
  });

  test.each([
    Code.InvalidArgument,
    Code.NotFound,
    Code.AlreadyExists,
    Code.PermissionDenied,
    Code.Unauthenticated,
    Code.FailedPrecondition,
    Code.OutOfRange,
    Code.Unimplemented,
    Code.Internal,
    Code.DataLoss,
    Code.Unknown,
  ])("with code %d is our own fault, if nobody has dealt with it", (code) => {
    const left = answer(code);
    expect(left).toMatchObject({ code: Code.Internal, reason: "INTERNAL", text: "internal error" });
  });

  test("marks nothing that is no ConnectError", () => {
    expect(markAsAnswer(refusal)).toBe(refusal);
    expect(leaving(refusal)).toMatchObject({ reason: "OUT_OF_STOCK" });
  });
});

test("what connect itself refuses, such as bytes that are no message, leaves as it is", () => {
  expect(leaving(new ConnectError("cannot decode", Code.InvalidArgument))).toMatchObject({
    code: Code.InvalidArgument,
    text: "cannot decode",
  });
});

test("the reason is found on both sides of the wire, and nowhere else", () => {
  const found = { reason: "OUT_OF_STOCK", domain: "shop.product.v1", metadata: { product_id: "p1" } };
  expect(reasonOf(refusal)).toMatchObject(found);
  expect(reasonOf(toConnectError(refusal))).toMatchObject(found);
  expect(toConnectError(refusal).findDetails(ErrorInfoSchema)).toHaveLength(1);
  expect(reasonOf(new ConnectError("none", Code.NotFound))).toBeUndefined();
  expect(reasonOf(new Error("none"))).toBeUndefined();
});

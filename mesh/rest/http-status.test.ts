import type { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { CodeSchema } from "../../gen/google/rpc/code_pb.ts";
import { httpStatusOf } from "./http-status.ts";

test("every code of google.rpc.Code but OK is an HTTP error, and none is forgotten", () => {
  const codes = CodeSchema.values.filter(({ number }) => number !== 0);
  expect(Object.fromEntries(codes.map(({ name, number }) => [name, httpStatusOf(number as Code)]))).toEqual({
    CANCELLED: 499,
    UNKNOWN: 500,
    INVALID_ARGUMENT: 400,
    DEADLINE_EXCEEDED: 504,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    PERMISSION_DENIED: 403,
    RESOURCE_EXHAUSTED: 429,
    FAILED_PRECONDITION: 400,
    ABORTED: 409,
    OUT_OF_RANGE: 400,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
    UNAVAILABLE: 503,
    DATA_LOSS: 500,
    UNAUTHENTICATED: 401,
  });
});

test("a code that does not exist is the server's fault", () => {
  expect(httpStatusOf(99 as Code)).toBe(500);
});

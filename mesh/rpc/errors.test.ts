import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AppError } from "../core/errors.ts";
import { markRetryExhausted } from "../resilience/retry.ts";
import { refusalOf } from "../testing/refusal.ts";
import { scriptedBackend, UNAVAILABLE } from "../testing/scripted-backend.ts";
import { testServer } from "../testing/server.ts";
import { countable, toyClient } from "../testing/toy-client.ts";
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

test("when to try again is said in a RetryInfo, and only where it is worth it", () => {
  const later = new AppError("no", {
    code: Code.FailedPrecondition,
    reason: "X",
    domain: "d",
    retryDelayMs: 1_500,
  });
  expect(toConnectError(later).findDetails(RetryInfoSchema)).toMatchObject([
    { retryDelay: { seconds: 1n, nanos: 500_000_000 } },
  ]);
  expect(toConnectError(refusal).findDetails(RetryInfoSchema)).toEqual([]);
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

  describe("after retries of our own, or with the wish that there be none (5.5)", () => {
    const left = (error: ConnectError) => {
      const { metadata } = toConnectError(markAsAnswer(error));
      return { ...leaving(error), pushback: metadata.get("grpc-retry-pushback-ms") };
    };
    const exhausted = {
      code: Code.Unavailable,
      reason: "RETRY_EXHAUSTED_DOWNSTREAM",
      domain: "mesh.weft",
      pushback: "-1",
    };

    test.each([Code.Unavailable, Code.DeadlineExceeded, Code.ResourceExhausted, Code.Internal])(
      "with code %d tells our caller that it need not begin its own",
      (code) => {
        const error = new ConnectError("their words", code);
        markRetryExhausted(error);
        expect(left(error)).toMatchObject(exhausted);
        expect(left(new ConnectError("their words", code, { "grpc-retry-pushback-ms": "-1" }))).toMatchObject(
          exhausted,
        );
      },
    );

    test("is not what an error says that names a time, or no wish at all", () => {
      const soon = new ConnectError("their words", Code.Unavailable, { "grpc-retry-pushback-ms": "100" });
      for (const error of [soon, new ConnectError("their words", Code.Unavailable)]) {
        expect(left(error)).toMatchObject({ reason: "DEPENDENCY_UNAVAILABLE", pushback: null });
      }
    });
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

test.each(["grpc", "connect"] as const)(
  "in a chain of three over %s whose end is away only the last caller retries (R8)",
  async (protocol) => {
    const service = countable();
    const end = await scriptedBackend({ protocol, service });
    end.always(UNAVAILABLE);
    const asked = { middle: 0, first: 0 };
    const middle = await testServer(service, {
      ask({ text }) {
        asked.middle++;
        return toyClient(protocol, service, [end.endpoint]).ask({ text });
      },
    });
    const first = await testServer(service, {
      ask({ text }) {
        asked.first++;
        return toyClient(protocol, service, [middle.endpoint]).ask({ text });
      },
    });
    const edge = toyClient(protocol, service, [first.endpoint]);
    expect(await refusalOf(edge.ask({}))).toMatchObject({
      code: "Unavailable",
      reason: "RETRY_EXHAUSTED_DOWNSTREAM",
    });
    expect({ ...asked, end: end.attempts.length }).toEqual({ first: 1, middle: 1, end: 3 });
  },
);

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { policies } from "../contract/policy.ts";
import { type Delivery, DeliveryError } from "../core/delivery.ts";
import { statusError, toyMethod } from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { type Health, healthOf, mayAnswerInstead, mayRetry } from "./classify.ts";
import { outcomeOf } from "./outcome.ts";
import { callerLeft, HEDGE_LOST, overdue, rejection, unusual } from "./rejection.ts";

/** Which calls may be made again: all; those that are safe; those that are safe and whose contract lists the code. */
type Retried = "always" | "if safe" | "if asked" | "never";

/** What became of a call; whether it is retried; what it says of the endpoint; whether another answer may stand in. */
type Row = readonly [what: string, error: unknown, retried: Retried, health: Health, answersInstead: boolean];

const failed = (delivery: Delivery) =>
  new ConnectError("no", Code.Unavailable, undefined, undefined, new DeliveryError(delivery, "no"));
const retryInfo = (code: Code) =>
  new ConnectError("later", code, undefined, [
    { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay: duration(100) }) },
  ]);
const says = (code: Code, reason?: string) => statusError(code, reason === undefined ? {} : { reason });
const pushedBack = (code: Code, pushbackMs: string, reason?: string) =>
  statusError(code, { ...(reason !== undefined && { reason }), "grpc-retry-pushback-ms": pushbackMs });

const ROWS: readonly Row[] = [
  ["it was not sent", failed("NOT_SENT"), "always", "FAILURE", true],
  ["it was refused unread", failed("REFUSED"), "always", "NOTHING", true],
  ["UNAVAILABLE, shed", says(Code.Unavailable, "SHED"), "always", "NOTHING", true],
  ["UNAVAILABLE, shed until later", pushedBack(Code.Unavailable, "70", "SHED"), "always", "NOTHING", true],
  ["UNAVAILABLE, shed for good", pushedBack(Code.Unavailable, "-1", "SHED"), "never", "NOTHING", true],
  ["UNAVAILABLE, not processed", says(Code.Unavailable, "NOT_PROCESSED"), "always", "FAILURE_BY_RATIO", true],
  ["UNAVAILABLE, draining", says(Code.Unavailable, "DRAINING"), "always", "NOTHING", true],
  ["UNAVAILABLE", says(Code.Unavailable), "if safe", "FAILURE", true],
  ["UNAVAILABLE for a reason of its own", says(Code.Unavailable, "OTHER"), "if safe", "FAILURE", true],
  ["UNAVAILABLE for good", pushedBack(Code.Unavailable, "-1"), "never", "FAILURE", true],
  ["the connection was lost", failed("LOST"), "if safe", "FAILURE", true],
  ["the attempt took too long", overdue(false), "if safe", "FAILURE", true],
  ["the attempt took longer than usual", unusual(), "if safe", "FAILURE_BY_RATIO", true],
  ["DEADLINE_EXCEEDED by the server", says(Code.DeadlineExceeded), "if safe", "FAILURE_BY_RATIO", true],
  ["the call took too long", overdue(true), "never", "NOTHING", true],
  [
    "no time was left for the call",
    rejection(MeshError.DEADLINE_BUDGET_EXHAUSTED, "no time", "TOTAL_TIMEOUT"),
    "never",
    "NOTHING",
    true,
  ],
  [
    "the caller's own deadline passed",
    callerLeft(new ConnectError("late", Code.DeadlineExceeded)),
    "never",
    "NOTHING",
    true,
  ],
  [
    "RESOURCE_EXHAUSTED until later",
    pushedBack(Code.ResourceExhausted, "70"),
    "if safe",
    "FAILURE_BY_RATIO",
    true,
  ],
  [
    "RESOURCE_EXHAUSTED with RetryInfo",
    retryInfo(Code.ResourceExhausted),
    "if safe",
    "FAILURE_BY_RATIO",
    true,
  ],
  ["RESOURCE_EXHAUSTED, shed", pushedBack(Code.ResourceExhausted, "70", "SHED"), "always", "NOTHING", true],
  ["RESOURCE_EXHAUSTED", says(Code.ResourceExhausted), "if asked", "FAILURE_BY_RATIO", false],
  ["INTERNAL", says(Code.Internal), "if asked", "FAILURE", false],
  ["UNKNOWN", says(Code.Unknown), "if asked", "FAILURE_BY_RATIO", false],
  ["what is no answer at all", new Error("a bug"), "if asked", "FAILURE_BY_RATIO", false],
  ["DATA_LOSS", says(Code.DataLoss), "if asked", "FAILURE", false],
  ["ABORTED", says(Code.Aborted), "if asked", "SUCCESS", false],
  ["CANCELLED by the server", says(Code.Canceled), "if asked", "SUCCESS", false],
  ["the caller left", callerLeft(undefined), "never", "NOTHING", false],
  [
    "the caller left for another call's UNAVAILABLE",
    callerLeft(says(Code.Unavailable)),
    "never",
    "NOTHING",
    false,
  ],
  ["another attempt won", HEDGE_LOST, "never", "NOTHING", false],
  ["INVALID_ARGUMENT", says(Code.InvalidArgument), "if asked", "SUCCESS", false],
  ["NOT_FOUND", says(Code.NotFound), "if asked", "SUCCESS", false],
  ["ALREADY_EXISTS", says(Code.AlreadyExists), "if asked", "SUCCESS", false],
  ["FAILED_PRECONDITION", says(Code.FailedPrecondition), "if asked", "SUCCESS", false],
  ["OUT_OF_RANGE", says(Code.OutOfRange), "if asked", "SUCCESS", false],
  ["UNAUTHENTICATED", says(Code.Unauthenticated), "if asked", "SUCCESS", false],
  ["PERMISSION_DENIED", says(Code.PermissionDenied), "if asked", "SUCCESS", false],
  ["UNIMPLEMENTED", says(Code.Unimplemented), "if asked", "SUCCESS", false],
  ["the breaker was open", rejection(MeshError.BREAKER_OPEN, "open"), "never", "NOTHING", true],
  ["the bulkhead was full", rejection(MeshError.BULKHEAD_FULL, "full"), "never", "NOTHING", true],
  ["no endpoint was known", rejection(MeshError.NO_ENDPOINT, "nobody"), "never", "NOTHING", true],
];

const UNKNOWN = policies().method(toyMethod({}, {}));
const IDEMPOTENT = policies().method(toyMethod());

describe.each(ROWS)("%s", (_, error, retried, health, answersInstead) => {
  const outcome = outcomeOf(error);
  const asking = (code: Code) => ({ ...IDEMPOTENT, retry: { ...IDEMPOTENT.retry, codes: [code] } });

  test(`is retried ${retried}`, () => {
    const isSafe = retried === "always" || retried === "if safe";
    const isAsked = isSafe || retried === "if asked";
    expect({
      unknown: mayRetry(outcome, { policy: UNKNOWN, hasKey: false }),
      withKey: mayRetry(outcome, { policy: UNKNOWN, hasKey: true }),
      idempotent: mayRetry(outcome, { policy: IDEMPOTENT, hasKey: false }),
      asked: mayRetry(outcome, { policy: asking(outcome.code), hasKey: false }),
      askedOther: mayRetry(outcome, { policy: asking(0 as Code), hasKey: false }),
      askedAndUnsafe: mayRetry(outcome, {
        policy: { ...asking(outcome.code), isIdempotent: false },
        hasKey: false,
      }),
    }).toEqual({
      unknown: retried === "always",
      withKey: isSafe,
      idempotent: isSafe,
      asked: isAsked,
      askedOther: retried === "always",
      askedAndUnsafe: retried === "always",
    });
  });

  test(`is ${health} of its endpoint, and ${answersInstead ? "" : "no "}other answer may stand in`, () => {
    expect(healthOf(outcome)).toBe(health);
    expect(mayAnswerInstead(outcome)).toBe(answersInstead);
  });
});

test("every code of gRPC has its row", () => {
  const codes = ROWS.map(([, error]) => outcomeOf(error)).filter(({ kind }) => kind === "STATUS");
  expect(new Set(codes.map(({ code }) => code)).size).toBe(16);
});

test("the endpoint is to blame for a call that took too long only if it had long enough", () => {
  const outcome = outcomeOf(overdue(true));
  expect(healthOf(outcome, true)).toBe("FAILURE");
  expect(healthOf(outcome, false)).toBe("NOTHING");
  // Nothing else depends on it.
  const others = ROWS.map(([, error]) => outcomeOf(error)).filter(({ kind }) => kind !== "TOTAL_TIMEOUT");
  for (const other of others) expect(healthOf(other, true)).toBe(healthOf(other));
});

describe("a code with which, by its contract, nothing has happened", () => {
  const policy = { ...UNKNOWN, notProcessedCodes: [Code.FailedPrecondition, Code.Unavailable] };

  test("is retried whatever the method is", () => {
    expect(mayRetry(outcomeOf(says(Code.FailedPrecondition)), { policy, hasKey: false })).toBe(true);
    expect(mayRetry(outcomeOf(says(Code.NotFound)), { policy, hasKey: false })).toBe(false);
  });

  test("is one that the server said: a lost connection says nothing", () => {
    expect(mayRetry(outcomeOf(failed("LOST")), { policy, hasKey: false })).toBe(false);
  });

  test("is not retried if the server wants it not", () => {
    const outcome = outcomeOf(pushedBack(Code.FailedPrecondition, "-1"));
    expect(mayRetry(outcome, { policy, hasKey: false })).toBe(false);
  });
});

import { create } from "@bufbuild/protobuf";
import { createContextKey, createContextValues } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { MethodPolicySchema } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { manualClock } from "../testing/clock.ts";
import { streamRequest, toyMethod, unaryRequest } from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { asAttempt, asPartOf, attemptOf, callOf, callPolicyKey, newCall, valuesOver } from "./call.ts";

const clock = manualClock();
const IDEMPOTENT = toyMethod();
const KEYED = toyMethod({ idempotencyKeyField: "request_id" }, {});
const UNKNOWN = toyMethod({}, {});

test("a call that no policy has begun ends when its headers say, or never", () => {
  const header = { "grpc-timeout": "70m" };
  expect(callOf(unaryRequest(IDEMPOTENT, { header }), { clock }).deadlineMs).toBe(clock.now() + 70);
  expect(callOf(unaryRequest(IDEMPOTENT), { clock }).deadlineMs).toBe(Number.POSITIVE_INFINITY);
});

test("a request that is part of a call says so to those below, and not to its caller", () => {
  const request = unaryRequest(IDEMPOTENT);
  const call = callOf(request, { clock });
  const part = asPartOf(request, call);
  expect(callOf(part, { clock })).toBe(call);
  expect(callOf(request, { clock })).not.toBe(call);
});

test.each([
  ["an idempotent method", IDEMPOTENT, "", true],
  ["a method of which nothing is known", UNKNOWN, "r1", false],
  ["a method with a key, and its request has one", KEYED, "r1", true],
  ["a method with a key, and its request has none", KEYED, "", false],
])("another attempt after one that was processed: %s", (_, method, requestId, isRepeatable) => {
  const request = unaryRequest(method, { message: { requestId } });
  expect(callOf(request, { clock })).toMatchObject({ isRepeatable });
});

test("a stream has no key, whatever its messages hold", () => {
  const method = toyMethod({ idempotencyKeyField: "request_id" }, { streams: "server" });
  const request = streamRequest(method, { message: { requestId: "r1" } });
  expect(callOf(request, { clock })).toMatchObject({ isRepeatable: false });
});

test("what one call asks for stands over its method's policy", () => {
  const contextValues = createContextValues().set(
    callPolicyKey,
    create(MethodPolicySchema, { timeout: duration(77) }),
  );
  expect(callOf(unaryRequest(IDEMPOTENT, { contextValues }), { clock }).policy.timeoutMs).toBe(77);
});

test("each call remembers the endpoints that it tried by itself", () => {
  const request = unaryRequest(IDEMPOTENT);
  const { policy } = callOf(request, { clock });
  newCall(request, policy, 0).tried.add("a");
  expect(newCall(request, policy, 0).tried.size).toBe(0);
});

test("a request is its call's first and only attempt, unless a policy says otherwise", () => {
  const request = unaryRequest(IDEMPOTENT);
  expect(attemptOf(request)).toEqual({ number: 1, isLast: true });
  const second = { number: 2, isLast: false };
  expect(attemptOf(asAttempt(request, second))).toEqual(second);
  expect(attemptOf(request)).toEqual({ number: 1, isLast: true });
});

test("values over others hide them, and leave them as they are", () => {
  const a = createContextKey("none");
  const b = createContextKey("none");
  const below = createContextValues().set(a, "below").set(b, "below");
  const values = valuesOver(below).set(a, "above").delete(b);
  expect([values.get(a), values.get(b)]).toEqual(["above", "none"]);
  expect([below.get(a), below.get(b)]).toEqual(["below", "below"]);
  expect(valuesOver(below).get(a)).toBe("below");
  // A value may be undefined and still hide one.
  const c = createContextKey<string | undefined>("default");
  expect(valuesOver(createContextValues()).set(c, undefined).get(c)).toBeUndefined();
});

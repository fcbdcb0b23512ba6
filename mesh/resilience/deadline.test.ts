import { Code, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { refusalOf } from "../testing/refusal.ts";
import { scripted, streamRequest, through, toyMethod, unaryRequest } from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { callOf } from "./call.ts";
import { type DeadlineOptions, totalDeadline } from "./deadline.ts";
import { outcomeOf } from "./outcome.ts";

const METHOD = toyMethod({ timeout: duration(1_000) });

/** Makes a call at 5,000 ms on the clock; what it got as its deadline, from then on. */
async function given(options: DeadlineOptions, header: Record<string, string> = {}, method = METHOD) {
  const clock = manualClock();
  clock.advance(5_000);
  const { next, seen } = scripted(clock, [{ answer: "yes" }]);
  await through([totalDeadline({ clock, ...options })], next)(unaryRequest(method, { header }));
  return seen.map(({ request }) => callOf(request, { clock }).deadlineMs - 5_000);
}

test("a call that asks for nothing has what its policy allows", async () => {
  expect(await given({})).toEqual([1_000]);
  expect(await given({}, {}, toyMethod())).toEqual([10_000]);
});

test("a call has what it asks for, and never more than its policy allows", async () => {
  expect(await given({}, { "grpc-timeout": "200m" })).toEqual([200]);
  expect(await given({}, { "grpc-timeout": "5S" })).toEqual([1_000]);
});

test("what is asked for need not be in a header", async () => {
  expect(await given({ askedMs: () => 300 }, { "grpc-timeout": "100m" })).toEqual([300]);
});

test("a call keeps back 5 ms of what its caller has left, for the answer (D2)", async () => {
  expect(await given({ callerLeftMs: () => 300 })).toEqual([295]);
  expect(await given({ callerLeftMs: () => 300 }, { "connect-timeout-ms": "100" })).toEqual([100]);
});

test("a stream that asks for nothing has no end", async () => {
  const clock = manualClock();
  const { next, seen } = scripted(clock, [{ stream: async function* () {} }]);
  const method = toyMethod({}, { streams: "server" });
  await through([totalDeadline({ clock })], next)(streamRequest(method));
  expect(seen.map(({ request }) => callOf(request, { clock }).deadlineMs)).toEqual([
    Number.POSITIVE_INFINITY,
  ]);
});

describe("a call for which no time is left is not sent (D1, B1)", () => {
  test.each<[string, DeadlineOptions, Record<string, string>]>([
    ["its caller is late", { callerLeftMs: () => -500 }, {}],
    ["its caller has just run out of time", { callerLeftMs: () => 0 }, {}],
    ["its caller has the reserve and not 2 ms more", { callerLeftMs: () => 6.9 }, {}],
    ["it asks for none", {}, { "grpc-timeout": "0m" }],
    ["it asks for none over the Connect protocol", {}, { "connect-timeout-ms": "0" }],
    ["it asks for a negative time", { askedMs: () => -5 }, {}],
    ["it asks for less than 2 ms", {}, { "grpc-timeout": "1999u" }],
  ])("%s", async (_, options, header) => {
    const clock = manualClock();
    const { next, seen } = scripted(clock, [{ answer: "yes" }]);
    let told = 0;
    const stack: Interceptor[] = [totalDeadline({ clock, onRejected: () => void told++, ...options })];
    const call = through(stack, next)(unaryRequest(METHOD, { header }));
    expect(await refusalOf(call)).toMatchObject({
      code: "DeadlineExceeded",
      reason: "DEADLINE_BUDGET_EXHAUSTED",
      domain: "mesh.weft",
    });
    const outcome = outcomeOf(await call.catch((error: unknown) => error));
    expect(outcome).toMatchObject({ kind: "TOTAL_TIMEOUT", code: Code.DeadlineExceeded });
    expect({ sent: seen.length, told, passedMs: clock.now() }).toEqual({ sent: 0, told: 1, passedMs: 0 });
  });
});

test("2 ms and the reserve are worth sending", async () => {
  expect(await given({ callerLeftMs: () => 7 })).toEqual([2]);
});

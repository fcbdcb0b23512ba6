import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Delivery, DeliveryError } from "../core/delivery.ts";
import { virtualClock } from "../testing/simulator/virtual-clock.ts";
import {
  type Step,
  scripted,
  statusError,
  textOf,
  through,
  toyMethod,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { attemptTimeout } from "./attempt.ts";
import type { Request } from "./call.ts";
import { totalDeadline } from "./deadline.ts";
import { hedge } from "./hedge.ts";

const afterMs = fc.nat(200);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: afterMs.map((afterMs) => ({ answer: "yes", afterMs })) },
  { weight: 2, arbitrary: fc.constant({ never: true as const }) },
  fc
    .record({ delivery: fc.constantFrom<Delivery>("NOT_SENT", "REFUSED", "LOST"), afterMs })
    .map(({ delivery, afterMs }) => {
      const cause = new DeliveryError(delivery, "no");
      return { error: new ConnectError("no", Code.Unavailable, undefined, undefined, cause), afterMs };
    }),
  {
    weight: 3,
    arbitrary: fc
      .record({
        code: fc.constantFrom(Code.Unavailable, Code.Unavailable, Code.ResourceExhausted, Code.NotFound),
        pushback: fc.constantFrom(undefined, undefined, "0", "40", "-1", "abc"),
        afterMs,
      })
      .map(({ code, pushback, afterMs }) => ({
        error: statusError(code, pushback === undefined ? {} : { "grpc-retry-pushback-ms": pushback }),
        afterMs,
      })),
  },
);

const call = fc.record({
  startsMs: fc.nat(1_000),
  timeoutMs: fc.integer({ min: 5, max: 600 }),
  leavesAfterMs: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.nat(400)),
  steps: fc.array(step, { minLength: 10, maxLength: 10 }),
});

const policy = fc.record({
  maxAttempts: fc.integer({ min: 2, max: 5 }),
  delayMs: fc.integer({ min: 1, max: 60 }),
  maxExtraLoad: fc.constantFrom(0.05, 0.25, 1),
});

test("hedges keep to their number and their budget, one answer comes, and nothing runs on", async () => {
  await fc.assert(
    fc.asyncProperty(policy, fc.array(call, { minLength: 1, maxLength: 15 }), async (stated, calls) => {
      const { maxAttempts, delayMs, maxExtraLoad } = stated;
      const clock = virtualClock();
      const value = {
        maxAttempts,
        delay: { case: "fixed" as const, value: duration(delayMs) },
        maxExtraLoad,
      };
      const method = toyMethod({ redundancy: { case: "hedge", value } });
      let hedges = 0;
      const shared = [
        totalDeadline({ clock }),
        hedge({ clock, onHedge: () => void hedges++ }),
        attemptTimeout({ clock }),
      ];

      const made = calls.map(({ startsMs, timeoutMs, leavesAfterMs, steps }) => {
        const script = scripted(clock, steps);
        const running = new Set<Request>();
        const answers: string[] = [];
        let most = 0;
        const next = async (request: Request) => {
          running.add(request);
          most = Math.max(most, running.size);
          try {
            const response = await script.next(request);
            answers.push(textOf(response));
            return response;
          } finally {
            running.delete(request);
          }
        };
        const leaving = new AbortController();
        const end: { atMs?: number; value?: string; error?: unknown; sent?: number } = {};
        const ended = (what: object) =>
          Object.assign(end, { atMs: clock.now(), sent: script.seen.length, ...what });
        clock.after(startsMs, () => {
          if (leavesAfterMs !== undefined) clock.after(leavesAfterMs, () => leaving.abort());
          const header = { "connect-timeout-ms": String(timeoutMs) };
          through(
            shared,
            next,
          )(unaryRequest(method, { header, signal: leaving.signal })).then(
            (response) => ended({ value: textOf(response) }),
            (error: unknown) => ended({ error }),
          );
        });
        const endsMs = startsMs + Math.min(timeoutMs, leavesAfterMs ?? Number.POSITIVE_INFINITY);
        return { seen: script.seen, end, running, answers, most: () => most, endsMs };
      });
      await clock.runUntil(5_000);

      for (const { seen, end, running, answers, most, endsMs } of made) {
        const numbers = seen.map(({ header }) => 1 + Number(header["grpc-previous-rpc-attempts"] ?? 0));
        expect(most()).toBeLessThanOrEqual(maxAttempts);
        expect(Math.max(1, ...numbers)).toBeLessThanOrEqual(maxAttempts);
        expect(end.atMs).toBeLessThanOrEqual(endsMs);
        // The first answer, and whoever else ran was given up with it.
        expect(end.value).toBe(answers[0]);
        expect(running.size).toBe(0);
        expect(seen.length).toBe(end.sent);
      }
      expect(hedges).toBeLessThanOrEqual(maxExtraLoad * calls.length + 1e-6);
    }),
    { numRuns: 150 },
  );
});

import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Delivery, DeliveryError } from "../core/delivery.ts";
import { random } from "../testing/random.ts";
import { virtualClock } from "../testing/simulator/virtual-clock.ts";
import {
  methodNamed,
  type Step,
  scripted,
  statusError,
  textOf,
  through,
  toyContract,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { duration } from "../testing/toy-client.ts";
import { attemptTimeout } from "./attempt.ts";
import { totalDeadline } from "./deadline.ts";
import { retry } from "./retry.ts";

const NOT_BEGUN = ["SHED", "DRAINING", "NOT_PROCESSED"];
const codes = Object.values(Code).filter((code) => typeof code === "number");

/** How an attempt goes, and what is known of it beside what retry reads. */
interface Played {
  readonly step: Step;
  readonly answers: boolean;
  /** The server may have begun. */
  readonly wasProcessed: boolean;
  readonly pushback: string | undefined;
}

const afterMs = fc.nat(400);
const played: fc.Arbitrary<Played> = fc.oneof(
  afterMs.map((afterMs) => ({
    step: { answer: "yes", afterMs },
    answers: true,
    wasProcessed: true,
    pushback: undefined,
  })),
  fc.constant({ step: { never: true as const }, answers: false, wasProcessed: true, pushback: undefined }),
  {
    weight: 2,
    arbitrary: fc
      .record({ delivery: fc.constantFrom<Delivery>("NOT_SENT", "REFUSED", "LOST"), afterMs })
      .map(({ delivery, afterMs }) => {
        const cause = new DeliveryError(delivery, "no");
        const error = new ConnectError("no", Code.Unavailable, undefined, undefined, cause);
        return {
          step: { error, afterMs },
          answers: false,
          wasProcessed: delivery === "LOST",
          pushback: undefined,
        };
      }),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({
        code: fc.oneof({ weight: 3, arbitrary: fc.constant(Code.Unavailable) }, fc.constantFrom(...codes)),
        reason: fc.constantFrom(undefined, undefined, "OTHER", ...NOT_BEGUN),
        pushback: fc.constantFrom(undefined, undefined, "0", "3", "150", "900", "-1", "abc", "", "99999999"),
        afterMs,
      })
      .map(({ code, reason, pushback, afterMs }) => ({
        step: {
          error: statusError(code, {
            ...(reason !== undefined && { reason }),
            ...(pushback !== undefined && { "grpc-retry-pushback-ms": pushback }),
          }),
          afterMs,
        },
        answers: false,
        wasProcessed: !(
          reason !== undefined &&
          NOT_BEGUN.includes(reason) &&
          (code === Code.Unavailable || code === Code.ResourceExhausted)
        ),
        pushback,
      })),
  },
);

const call = fc.record({
  startsMs: fc.nat(2_000),
  timeoutMs: fc.integer({ min: 2, max: 3_000 }),
  leavesAfterMs: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fc.nat(1_500)),
  what: fc.constantFrom("idempotent", "keyed", "keyless", "unknown"),
  plays: fc.array(played, { minLength: 12, maxLength: 12 }),
});

const MAX_ATTEMPTS = 4;
const retries = {
  case: "retry" as const,
  value: { maxAttempts: MAX_ATTEMPTS, maxBackoff: duration(200), attemptTimeout: duration(300) },
};
/** A window that holds the whole test. */
const BUDGET = { minPerSecond: 0.05, ratio: 0.2, ttl: duration(60_000) };

test("retries keep to their number, their safety, their time and their budget, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 12 }), fc.nat(), async (calls, seed) => {
      const clock = virtualClock();
      // Of one service, so that they share its budget.
      const keyed = { policy: { redundancy: retries, idempotencyKeyField: "request_id" } };
      const contract = toyContract(
        {
          idempotent: { idempotency: "IDEMPOTENT", policy: { redundancy: retries } },
          keyed,
          keyless: keyed,
          unknown: { policy: { redundancy: retries } },
        },
        { gate: { case: "retryBudget", value: BUDGET } },
      );
      const shared = [
        totalDeadline({ clock }),
        retry({ clock, random: random(seed).next }),
        attemptTimeout({ clock }),
      ];

      const made = calls.map(({ startsMs, timeoutMs, leavesAfterMs, what, plays }) => {
        const script = scripted(
          clock,
          plays.map(({ step }) => step),
        );
        const leaving = new AbortController();
        const request = unaryRequest(methodNamed(contract, what), {
          message: { requestId: what === "keyed" ? "r1" : "" },
          header: { "connect-timeout-ms": String(timeoutMs) },
          signal: leaving.signal,
        });
        const end: { atMs?: number; value?: string; error?: unknown } = {};
        clock.after(startsMs, () => {
          if (leavesAfterMs !== undefined) clock.after(leavesAfterMs, () => leaving.abort());
          through(
            shared,
            script.next,
          )(request).then(
            (response) => Object.assign(end, { atMs: clock.now(), value: textOf(response) }),
            (error: unknown) => Object.assign(end, { atMs: clock.now(), error }),
          );
        });
        return { seen: script.seen, end, what, plays, startsMs, timeoutMs, leavesAfterMs };
      });
      await clock.runUntil(10_000);

      let retried = 0;
      for (const { seen, end, what, plays, startsMs, timeoutMs, leavesAfterMs } of made) {
        const numbers = seen.map(({ header }) => 1 + Number(header["grpc-previous-rpc-attempts"] ?? 0));
        expect(Math.max(1, ...numbers)).toBeLessThanOrEqual(MAX_ATTEMPTS);
        // Three that were not sent and one that was refused are not counted.
        expect(seen.length).toBeLessThanOrEqual(MAX_ATTEMPTS + 4);
        expect(numbers).toEqual([...numbers].sort());
        retried += (numbers.at(-1) ?? 1) - 1;

        const endsMs = startsMs + Math.min(timeoutMs, leavesAfterMs ?? Number.POSITIVE_INFINITY);
        expect(end.atMs).toBeLessThanOrEqual(endsMs);
        for (const [i, { atMs }] of seen.entries()) {
          expect(atMs).toBeLessThanOrEqual(Math.min(endsMs, startsMs + timeoutMs - 2));
          const before = seen[i - 1];
          if (!before) continue;
          const { answers, wasProcessed, pushback } = plays[i - 1] ?? expect.fail();
          expect(answers && atMs - before.atMs < 300).toBe(false);
          if (what === "keyless" || what === "unknown") expect(wasProcessed).toBe(false);
          const tookMs = Math.min(300, plays[i - 1]?.step.afterMs ?? 300);
          // The attempt's own timeout stands before what the server would have said.
          if (pushback !== undefined && tookMs < 300) {
            expect(pushback).toMatch(/^(0|3|150|900)$/);
            expect(atMs - before.atMs).toBe(tookMs + Number(pushback));
          }
        }
        if (end.value !== undefined) expect(plays[seen.length - 1]?.answers).toBe(true);
      }
      expect(retried).toBeLessThanOrEqual(BUDGET.ratio * calls.length + BUDGET.minPerSecond * 60 + 1e-6);
    }),
    { numRuns: 150 },
  );
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { CRITICALITIES } from "../contract/policy.ts";
import { manualClock } from "../testing/clock.ts";
import { admission, type Permit, type Refusal } from "./admission.ts";

const SHARES = { CRITICAL_PLUS: 1, CRITICAL: 0.9, SHEDDABLE_PLUS: 0.7, SHEDDABLE: 0.5 };
const MAX_AGE_MS = 50;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("arrive" as const), who: fc.nat(3), leftMs: fc.nat(200) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("end" as const), which: fc.nat(), how: fc.nat(2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.nat(30) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("limit" as const), to: fc.integer({ min: 1, max: 12 }) }),
  },
);

test("never lets in or keeps more than it may, loses no permit, and keeps nobody waiting", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 120, size: "max" }), async (steps) => {
      const clock = manualClock();
      let limit = 6;
      const gate = admission({
        limiter: { limit: () => limit, observe() {} },
        clock,
        random: () => 0.5,
      });
      const running: Permit[] = [];
      const callers: { leave: AbortController; sinceMs: number; answer?: Permit | Refusal }[] = [];
      const most = (who: number) =>
        Math.max(Math.floor(limit * SHARES[CRITICALITIES[who] ?? "CRITICAL"] + 1e-9), 1);

      for (const each of steps) {
        const before = gate.state();
        switch (each.do) {
          case "arrive": {
            const caller: (typeof callers)[number] = { leave: new AbortController(), sinceMs: clock.now() };
            const arrival = {
              deadlineMs: clock.now() + each.leftMs,
              minUsefulMs: 20,
              signal: caller.leave.signal,
            };
            Promise.resolve(gate.acquire(CRITICALITIES[each.who] ?? "CRITICAL", arrival)).then((answer) => {
              caller.answer = answer;
              if (answer.isAdmitted) running.push(answer);
            });
            callers.push(caller);
            const after = gate.state();
            expect(after.inflight).toBeLessThanOrEqual(Math.max(before.inflight, most(each.who)));
            expect(after.queued).toBeLessThanOrEqual(Math.max(before.queued, most(each.who)));
            break;
          }
          case "end": {
            const [permit] = running.splice(each.which % Math.max(running.length, 1), 1);
            permit?.release((["success", "dropped", "ignored"] as const)[each.how] ?? "success");
            permit?.release("success");
            expect(gate.state().inflight).toBeLessThanOrEqual(Math.max(before.inflight, limit));
            break;
          }
          case "leave":
            callers[each.which % Math.max(callers.length, 1)]?.leave.abort();
            break;
          case "pass":
            clock.advance(each.ms);
            break;
          case "limit":
            limit = each.to;
        }
        // Whoever has an answer knows it by now.
        await new Promise(setImmediate);
        const { inflight, queued } = gate.state();
        expect(inflight).toBe(running.length);
        expect(queued).toBe(callers.filter(({ answer }) => answer === undefined).length);
        for (const { answer, sinceMs, leave } of callers) {
          if (answer !== undefined) continue;
          expect(leave.signal.aborted).toBe(false);
          expect(clock.now() - sinceMs).toBeLessThan(MAX_AGE_MS);
        }
      }
      clock.advance(MAX_AGE_MS);
      await new Promise(setImmediate);
      for (const permit of running.splice(0)) permit.release("success");
      expect(gate.state()).toMatchObject({ inflight: 0, queued: 0 });
      await clock.whenSleeping(0);
    }),
    { numRuns: 150 },
  );
});

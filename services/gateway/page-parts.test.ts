import type { CallOptions } from "@connectrpc/connect";
import { afterAll, expect, test, vi } from "vitest";
import { systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { childOf } from "../../mesh/core/trace.ts";
import { runWork } from "../../mesh/core/work.ts";
import { pageParts } from "./page-parts.ts";

// Time stands still: what is left of it would be less on a busy machine.
vi.useFakeTimers({ toFake: ["performance"] });
afterAll(() => void vi.useRealTimers());

const context = { requestHeader: new Headers(), signal: new AbortController().signal } as never;

/** How long a part may take whose page has this much time. */
function timeoutOf(leftMs: number): Promise<number | undefined> {
  const work = { trace: childOf(undefined), requestId: "r1", deadlineMs: systemClock.now() + leftMs };
  const ask = async ({ timeoutMs }: CallOptions) => timeoutMs;
  return runWork(work, () => pageParts(context, silentLog).required("part", ask));
}

test("a part has less time than its page, so that there is some left to answer in", async () => {
  expect(await timeoutOf(2_000)).toBe(1_900);
  expect(await timeoutOf(100)).toBe(80);
});

test("a page that nobody waits for leaves its parts the time of their contracts", async () => {
  expect(await timeoutOf(Number.POSITIVE_INFINITY)).toBeUndefined();
});

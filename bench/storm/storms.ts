import { setTimeout as pause } from "node:timers/promises";
import {
  between,
  type CallRecord,
  goodput,
  recovery,
  type Tally,
  tally,
} from "../../mesh/testing/simulator/results.ts";
import { NO_BREAKER, NO_BUDGET, type Variant } from "../../mesh/testing/simulator/variants.ts";
import type { ServerPlan } from "./plan.ts";
import { callFrom, type ServerProcess, startServer, startServers } from "./processes.ts";

/** One figure of a storm. */
export interface Row {
  readonly what: string;
  readonly expected: string;
  readonly measured: string;
}

/** A situation that real processes are put into. */
export interface Storm {
  readonly name: string;
  /** About how long it takes. Seconds. */
  readonly seconds: number;
  run(say: (what: string) => void): Promise<readonly Row[]>;
}

const ONCE: Variant = { retry: { maxAttempts: 1 } };
const NAIVE: Variant = {
  retry: { maxAttempts: 4, attemptTimeoutMs: 500 },
  service: { gate: NO_BUDGET, breaker: NO_BREAKER },
};

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
const ms = (value: number) => `${value.toFixed(0)} ms`;
const seconds = (value: number) => (Number.isFinite(value) ? `${(value / 1_000).toFixed(0)} s` : "never");

// Eight at a time, 45 ms on average: 177 calls a second.
const BUSY: ServerPlan = { workers: 8, workMs: 40, sigma: 0.5, timeoutMs: 1_000 };
const BUSY_CAPACITY = (8 * 1_000) / (40 * Math.exp(0.5 ** 2 / 2));
// Three of them have far more than the 150 calls a second that they get.
const QUICK: ServerPlan = { workers: 8, workMs: 10, sigma: 0.5, timeoutMs: 10_000 };
const QUICK_RPS = 150;
// The fewer calls there are, the larger the share of those that look whether a slow one is well again; more than this, and
// the machine itself is the slow one.
const SLOW_RPS = 300;

const overload: Storm = {
  name: "overload",
  seconds: 70,
  async run(say) {
    const variant: Variant = {
      ...ONCE,
      method: { timeoutMs: BUSY.timeoutMs },
      service: { breaker: NO_BREAKER },
    };
    const forMs = 30_000;
    const flood = async (plan: ServerPlan, times: number) => {
      const { port } = await startServer(plan);
      const all = times * BUSY_CAPACITY;
      const call = (share: number, criticality: string) =>
        callFrom({
          ports: [port],
          rps: all * share,
          forMs,
          variant,
          header: { "mesh-criticality": criticality },
        });
      const [critical, others] = await Promise.all([call(0.2, "CRITICAL_PLUS"), call(0.8, "CRITICAL")]);
      const calls = [...critical, ...others];
      return {
        goodput: goodput(calls, 5_000, forMs) / BUSY_CAPACITY,
        p99Ms: tally(between(calls, 5_000, forMs)).percentile(0.99),
        critical: tally(between(critical, 5_000, forMs)).okShare,
      };
    };
    say("twice as many calls as can be answered");
    const protectedBy = await flood(BUSY, 2);
    say("the same, and a server that takes all it is sent");
    const naive = await flood({ ...BUSY, doesEverything: true }, 2);
    return [
      {
        what: "2x: goodput, of the capacity (S1)",
        expected: ">= 95 %",
        measured: percent(protectedBy.goodput),
      },
      { what: "2x: p99 of what was answered (S1)", expected: "<= 400 ms", measured: ms(protectedBy.p99Ms) },
      {
        what: "2x: success of the critical fifth (S3)",
        expected: ">= 98 %",
        measured: percent(protectedBy.critical),
      },
      {
        what: "2x, control: goodput without admission (S2)",
        expected: "about 0 %",
        measured: percent(naive.goodput),
      },
    ];
  },
};

const slowReplica: Storm = {
  name: "slow replica",
  seconds: 65,
  async run(say) {
    const servers = await startServers(3, QUICK);
    const [first] = servers as [ServerProcess, ...ServerProcess[]];
    const ports = servers.map(({ port }) => port);
    const call = (variant: Variant) => callFrom({ ports, rps: SLOW_RPS, forMs: 30_000, variant });
    const p99 = (calls: readonly CallRecord[]) => tally(between(calls, 5_000, 30_000)).percentile(0.99);
    say("three servers that are well");
    const healthy = p99(await call(ONCE));
    say("one of them ten times slower");
    first.slow(10);
    const before = await Promise.all(servers.map((server) => server.attempts()));
    const slow = p99(await call(ONCE));
    const after = await Promise.all(servers.map((server) => server.attempts()));
    const taken = after.map((count, i) => count - (before[i] ?? 0));
    const share = (taken[0] ?? 0) / taken.reduce((sum, count) => sum + count, 0);
    return [
      {
        what: "p99 with a slow one of three, of the healthy p99 (L1)",
        expected: "<= 1.9",
        measured: (slow / healthy).toFixed(2),
      },
      { what: "its share of the calls (L1)", expected: "<= 1.5 %", measured: percent(share) },
    ];
  },
};

const deadReplica: Storm = {
  name: "dead replica",
  seconds: 45,
  async run(say) {
    const servers = await startServers(3, QUICK);
    const [first] = servers as [ServerProcess, ...ServerProcess[]];
    const calling = callFrom({
      ports: servers.map(({ port }) => port),
      rps: QUICK_RPS,
      forMs: 40_000,
      variant: {},
    });
    await pause(5_000);
    say("one of three is killed");
    await first.kill("SIGKILL");
    await pause(10_000);
    say("it is there again");
    await first.restart();
    const backAt = performance.now();
    while ((await first.attempts()) === 0 && performance.now() - backAt < 25_000) await pause(100);
    const backMs = performance.now() - backAt;
    const { calls, ok } = tally(await calling);
    return [
      {
        what: "calls that failed, of those that may be repeated (R6)",
        expected: "0",
        measured: `${calls - ok} of ${calls}`,
      },
      {
        what: "until it gets calls again, after 10 s away (C8)",
        expected: "<= 16 s",
        measured: seconds(backMs),
      },
    ];
  },
};

const retryStorm: Storm = {
  name: "retry storm",
  seconds: 70,
  async run(say) {
    const faultMs = 15_000;
    const endMs = 65_000;
    const plan: ServerPlan = { workers: 10, workMs: 100, timeoutMs: 2_000 };
    const ride = async (server: ServerPlan, variant: Variant) => {
      const { port, slow } = await startServer(server);
      const calling = callFrom({
        ports: [port],
        rps: 70,
        forMs: endMs,
        variant: { ...variant, method: { timeoutMs: server.timeoutMs } },
      });
      await pause(faultMs);
      slow(5);
      await pause(10_000);
      slow(1);
      const calls = await calling;
      return {
        recoveryMs: recovery(calls, faultMs + 10_000, endMs),
        goodput: goodput(calls, faultMs, faultMs + 10_000) / 20,
      };
    };
    say(
      "a fifth of the capacity for ten seconds, at 70 % of it; with the mesh, and beside it a naive client and server",
    );
    const [mesh, alone, naive] = await Promise.all([
      ride(plan, {}),
      ride(plan, { service: { breaker: NO_BREAKER } }),
      ride({ ...plan, doesEverything: true }, NAIVE),
    ]);
    return [
      {
        what: "recovered after the fault (M1)",
        expected: "<= 10 s, breakers included",
        measured: seconds(mesh.recoveryMs),
      },
      {
        what: "calls that begin in the fault and are answered, if only after it, of what is left, without a breaker (M4)",
        expected: ">= 45 %",
        measured: percent(alone.goodput),
      },
      {
        what: "the same with the breaker, which leaves the only server alone for seconds when it times out",
        expected: "told, no bar",
        measured: percent(mesh.goodput),
      },
      {
        what: "control: four attempts, no budget, no admission (M2)",
        expected: "never",
        measured: seconds(naive.recoveryMs),
      },
    ];
  },
};

const rollingRestart: Storm = {
  name: "rolling restart",
  seconds: 35,
  async run(say) {
    const servers = await startServers(3, QUICK);
    const ports = servers.map(({ port }) => port);
    const half = { ports, rps: QUICK_RPS / 2, forMs: 30_000 };
    const calling = Promise.all([
      callFrom({ ...half, variant: {} }),
      callFrom({ ...half, variant: { method: { isIdempotent: false, hasNoSideEffects: false } } }),
    ]);
    await pause(5_000);
    for (const [i, server] of servers.entries()) {
      say(`server ${i + 1} of 3 is restarted`);
      await server.kill("SIGTERM");
      await server.restart();
      await pause(4_000);
    }
    const [repeatable, others] = (await calling).map((calls) => tally(calls)) as [Tally, Tally];
    const failed = ({ calls, ok }: Tally) => `${calls - ok} of ${calls}`;
    return [
      {
        what: "calls that failed, of those that may be repeated (L6)",
        expected: "0",
        measured: failed(repeatable),
      },
      {
        what: "the same, of those that may not: only what nobody has begun is made again (L6)",
        expected: "<= 0.01 %",
        measured: failed(others),
      },
    ];
  },
};

/** All of them, in the order in which they run. */
export const STORMS: readonly Storm[] = [overload, slowReplica, deadReplica, retryStorm, rollingRestart];

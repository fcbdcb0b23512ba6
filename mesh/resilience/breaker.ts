import type { BreakerPolicy } from "../contract/policy.ts";
import type { Clock } from "../core/clock.ts";
import type { Health } from "./classify.ts";
import { countWindow, timeWindow } from "./window.ts";

/** Where a breaker stands. */
export type BreakerState = "CLOSED" | "OPEN" | "HALF_OPEN";

/** Why a breaker changed its state. */
export type BreakerReason =
  | "CONSECUTIVE"
  | "RATIO"
  | "SLOW"
  | "PROBE_FAILED"
  | "TIME"
  | "PROBES_SUCCEEDED"
  | "NO_VERDICT"
  | "ORDERED";

/** The leave to make one call; its outcome is told once. */
export interface Permit {
  /** What became of the call, and how long it took, in milliseconds. Only the first word counts. */
  record(health: Health, tookMs: number): void;
  /** The stream that began well broke: as another call that failed, if the breaker is still as it was. */
  broke(health: Health): void;
}

/** What an operator may order: never a call, no breaker at all, or count and never open. */
export type BreakerOrder = "FORCED_OPEN" | "DISABLED" | "METRICS_ONLY";

/** Leaves alone what fails. */
export interface Breaker {
  /** The leave to make a call, or undefined at once if there is none: nobody waits for a verdict. */
  acquire(): Permit | undefined;
  /** True if `acquire` would refuse. Takes no permit. */
  isOpen(): boolean;
  /** Puts an operator's order above what is measured; undefined takes it back. Either way it begins anew as CLOSED. */
  order(order: BreakerOrder | undefined): void;
  /** For people. */
  describe(): BreakerDescription;
}

/** A breaker at a moment. */
export interface BreakerDescription {
  readonly state: BreakerState;
  readonly order: BreakerOrder | undefined;
  /** Calls and failures in the window. */
  readonly calls: number;
  readonly failures: number;
  /** How often it opened since it was last closed. */
  readonly trips: number;
  /** How long until a probe may go, in milliseconds; 0 if it is not open. */
  readonly probesInMs: number;
}

/** What a breaker needs beside its policy. */
export interface BreakerParts {
  readonly clock: Clock;
  /** A number from 0 to below 1. Defaults to Math.random. */
  readonly random?: () => number;
  readonly onChange?: (from: BreakerState, to: BreakerState, reason: BreakerReason) => void;
}

// No call may take longer, so a probe without a verdict by then has none.
const VERDICT_WITHIN_MS = 60_000;
const UNCOUNTED: Permit = { record() {}, broke() {} };

/**
 * A circuit breaker that opens on failures in a row, on a share of failures and on a share of slow calls, and stays
 * open for longer at each trip (Linkerd's unified breaker; the windows are Resilience4j's). Each permit belongs to the
 * state in which it was given: what a call of an earlier state brings is not counted, so that neither a late failure
 * opens it again nor a late success closes it.
 */
export function breaker(
  policy: BreakerPolicy,
  { clock, random = Math.random, onChange }: BreakerParts,
): Breaker {
  const { consecutive, failureRatio, minCalls, openBaseMs, openMaxMs, openJitter, probes, slow } = policy;
  const window =
    "calls" in policy.window ? countWindow(policy.window.calls) : timeWindow(policy.window.timeMs, clock);

  let state: BreakerState = "CLOSED";
  let order: BreakerOrder | undefined;
  let epoch = 0;
  let inARow = 0;
  let trips = 0;
  // Until when it stays open; while probing, until when a verdict is waited for.
  let untilMs = 0;
  let probing = 0;
  let succeeded = 0;

  function change(to: BreakerState, reason: BreakerReason): void {
    const from = state;
    state = to;
    epoch++;
    inARow = probing = succeeded = 0;
    if (to === "CLOSED") {
      trips = 0;
      window.clear();
    }
    if (from !== to) onChange?.(from, to, reason);
  }

  function open(reason: BreakerReason): void {
    if (reason !== "NO_VERDICT") trips++;
    const openMs = Math.min(openMaxMs, openBaseMs * 2 ** Math.max(0, trips - 1));
    untilMs = clock.now() + openMs * (1 + openJitter * random());
    change("OPEN", reason);
  }

  function judge(health: Health, tookMs: number): void {
    const failed = health !== "SUCCESS";
    window.record(failed, slow !== undefined && tookMs >= slow.callMs);
    // What only a share tells neither makes a row longer nor ends it.
    inARow = failed ? inARow + Number(health === "FAILURE") : 0;
    if (order === "METRICS_ONLY") return;
    const { calls, failures, slow: slows } = window.counts();
    if (inARow >= consecutive) open("CONSECUTIVE");
    else if (calls >= minCalls && failures / calls >= failureRatio) open("RATIO");
    else if (calls >= minCalls && slow && slows / calls >= slow.ratio) open("SLOW");
  }

  function judgeProbe(health: Health): void {
    probing--;
    if (health === "SUCCESS") {
      succeeded++;
      if (succeeded >= probes) change("CLOSED", "PROBES_SUCCEEDED");
    } else if (health !== "NOTHING") open("PROBE_FAILED");
  }

  function permit(): Permit {
    const given = epoch;
    let isTold = false;
    return {
      record(health, tookMs) {
        if (isTold || given !== epoch) return;
        isTold = true;
        if (state === "HALF_OPEN") judgeProbe(health);
        else if (health !== "NOTHING") judge(health, tookMs);
      },
      broke(health) {
        if (given !== epoch || health === "SUCCESS" || health === "NOTHING") return;
        if (state === "HALF_OPEN") open("PROBE_FAILED");
        else judge(health, 0);
      },
    };
  }

  /** A probe that never comes back must not keep the others out for ever. */
  function giveUpProbes(): void {
    if (state === "HALF_OPEN" && clock.now() >= untilMs) open("NO_VERDICT");
  }

  return {
    acquire() {
      if (order === "DISABLED") return UNCOUNTED;
      if (order === "FORCED_OPEN") return undefined;
      if (state === "CLOSED") return permit();
      giveUpProbes();
      if (state === "OPEN") {
        if (clock.now() < untilMs) return undefined;
        change("HALF_OPEN", "TIME");
        untilMs = clock.now() + VERDICT_WITHIN_MS;
      }
      if (probing + succeeded >= probes) return undefined;
      probing++;
      return permit();
    },
    isOpen() {
      if (order !== undefined) return order === "FORCED_OPEN";
      if (state === "CLOSED") return false;
      giveUpProbes();
      return state === "OPEN" ? clock.now() < untilMs : probing + succeeded >= probes;
    },
    order(given) {
      order = given;
      change("CLOSED", "ORDERED");
    },
    describe() {
      const { calls, failures } = window.counts();
      const probesInMs = state === "OPEN" ? Math.max(0, untilMs - clock.now()) : 0;
      return { state, order, calls, failures, trips, probesInMs };
    },
  };
}

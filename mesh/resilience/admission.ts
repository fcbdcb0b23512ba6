import { CRITICALITIES, type Criticality } from "../contract/policy.ts";
import type { Clock } from "../core/clock.ts";
import type { Limiter } from "./limiter.ts";
import { shedding } from "./shedding.ts";

/** Why a call is not let in. */
export type ShedReason =
  /** As many run and wait as may. */
  | "full"
  /** It waited for its turn for as long as it may. */
  | "waited"
  /** It has too little time left to be worth starting. */
  | "no_time"
  /** The event loop is late. */
  | "loop_delay"
  /** Its caller has gone. */
  | "gone";

/** A call that is not let in; nothing of it has been done. */
export interface Refusal {
  readonly isAdmitted: false;
  readonly reason: ShedReason;
  /** For `grpc-retry-pushback-ms` (gRFC A6): when to come back, -1 for never. Milliseconds. */
  readonly pushbackMs: number;
}

/** How a call ended: `ignored` says nothing about how long the work takes, `dropped` ran into its deadline. */
export type Verdict = "success" | "dropped" | "ignored";

/** A call that is let in. */
export interface Permit {
  readonly isAdmitted: true;
  /** Lets the next one in. Safe to call twice. */
  release(verdict: Verdict): void;
}

/** What is known of a call that asks. */
export interface Arrival {
  /** When its caller stops waiting, on the clock. Defaults to never. */
  readonly deadlineMs?: number;
  /** The least time that it must have left when it starts after a wait. Milliseconds. Defaults to 0. */
  readonly minUsefulMs?: number;
  /** The least time that it must have left when it starts at once: nothing else is kept waiting for it. Defaults to `minUsefulMs`. */
  readonly minAtOnceMs?: number;
  /** Takes it out of the queue. */
  readonly signal?: AbortSignal;
}

/** What an admission is doing. */
export interface AdmissionState {
  readonly limit: number;
  readonly inflight: number;
  readonly queued: number;
  /** How long the oldest call in the queue has waited. Milliseconds; 0 for none. */
  readonly queueAgeMs: number;
  /** How long it has been refusing calls. Milliseconds; 0 if it does not. */
  readonly sheddingForMs: number;
}

/** Lets calls in, makes them wait, or refuses them. */
export interface Admission {
  /** A permit or a refusal: at once, or, if it is to wait, within `maxQueueAgeMs`. Never rejects. */
  acquire(criticality: Criticality, arrival?: Arrival): Permit | Refusal | Promise<Permit | Refusal>;
  /** What `acquire` would refuse such a call with right now; undefined if it would let it in, or let it wait. */
  refusal(criticality: Criticality, arrival?: Arrival): Refusal | undefined;
  state(): AdmissionState;
}

/** What `admission` needs. */
export interface AdmissionOptions {
  readonly limiter: Limiter;
  readonly clock: Clock;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** How late the event loop is. Milliseconds. Defaults to never. */
  readonly loopDelayMs?: () => number;
  /** How long a call may wait. Milliseconds. Defaults to 50. */
  readonly maxQueueAgeMs?: number;
  /** From which wait of the oldest on the newest goes first. Milliseconds. Defaults to 10. */
  readonly lifoAfterMs?: number;
  /** Learns of every refusal. */
  readonly onShed?: (criticality: Criticality, reason: ShedReason) => void;
}

// The share of the limit, and of the queue, up to which calls of a criticality may fill them.
const CEILING: Readonly<Record<Criticality, number>> = {
  CRITICAL_PLUS: 1,
  CRITICAL: 0.9,
  SHEDDABLE_PLUS: 0.7,
  SHEDDABLE: 0.5,
};

// How late the event loop may be before only CRITICAL, and only CRITICAL_PLUS, is let in.
const LATE_MS = 100;
const VERY_LATE_MS = 500;

interface Waiter {
  readonly sinceMs: number;
  readonly arrival: Arrival;
  readonly settle: (answer: Permit | Refusal) => void;
}

/**
 * Bounds how many calls run at a time (`limiter`), and how many wait and for how long. The more critical a call, the
 * more of both it may fill, and the sooner its turn comes. Waiting calls go first in, first out, and last in, first out
 * once the oldest has waited for long: then the newest are those with time left (Facebook, "Fail at scale").
 * The shares are ours, after the criticalities of the SRE book, "Handling overload".
 */
export function admission(options: AdmissionOptions): Admission {
  const { limiter, clock, random, loopDelayMs = () => 0, maxQueueAgeMs = 50, lifoAfterMs = 10 } = options;
  const episode = shedding(clock, random);
  const queues = new Map<Criticality, Waiter[]>(CRITICALITIES.map((each) => [each, []]));
  let inflight = 0;
  let queued = 0;

  const ceiling = (criticality: Criticality) =>
    Math.max(Math.floor(limiter.limit() * CEILING[criticality] + 1e-9), 1);
  const oldestAgeMs = () => {
    const nowMs = clock.now();
    return Math.max(...[...queues.values()].map(([first]) => nowMs - (first?.sinceMs ?? nowMs)));
  };
  const leftMs = ({ deadlineMs = Number.POSITIVE_INFINITY }: Arrival) => deadlineMs - clock.now();

  function isTooLate(criticality: Criticality): boolean {
    const delayMs = loopDelayMs();
    if (delayMs <= LATE_MS) return false;
    if (delayMs > VERY_LATE_MS) return criticality !== "CRITICAL_PLUS";
    return criticality === "SHEDDABLE" || criticality === "SHEDDABLE_PLUS";
  }

  function reasonAgainst(criticality: Criticality, arrival: Arrival): ShedReason | undefined {
    const { signal, minUsefulMs = 0, minAtOnceMs = minUsefulMs } = arrival;
    if (signal?.aborted) return "gone";
    const most = ceiling(criticality);
    if (leftMs(arrival) < (inflight < most ? minAtOnceMs : minUsefulMs)) return "no_time";
    if (isTooLate(criticality)) return "loop_delay";
    return inflight >= most && queued >= most ? "full" : undefined;
  }

  function refuse(criticality: Criticality, reason: ShedReason): Refusal {
    options.onShed?.(criticality, reason);
    // What its caller brought about is no sign of overload.
    if (reason !== "gone" && reason !== "no_time") episode.note();
    const delayMs = Math.max(oldestAgeMs(), loopDelayMs());
    return { isAdmitted: false, reason, pushbackMs: episode.pushbackMs(delayMs) };
  }

  function permit(sinceMs: number): Permit {
    const running = ++inflight;
    let isReleased = false;
    return {
      isAdmitted: true,
      release(verdict) {
        if (isReleased) return;
        isReleased = true;
        inflight--;
        if (verdict !== "ignored") limiter.observe({ rttMs: clock.now() - sinceMs, inflight: running });
        admitWaiting();
      },
    };
  }

  function admitWaiting(): void {
    if (queued === 0) return;
    for (const criticality of CRITICALITIES) {
      const queue = queues.get(criticality) ?? [];
      for (;;) {
        const [oldest] = queue;
        if (!oldest || inflight >= ceiling(criticality)) break;
        const next = clock.now() - oldest.sinceMs > lifoAfterMs ? (queue.at(-1) ?? oldest) : oldest;
        next.settle(
          leftMs(next.arrival) < (next.arrival.minUsefulMs ?? 0)
            ? refuse(criticality, "no_time")
            : permit(next.sinceMs),
        );
      }
    }
  }

  function wait(criticality: Criticality, arrival: Arrival): Promise<Permit | Refusal> {
    const { promise, resolve } = Promise.withResolvers<Permit | Refusal>();
    const queue = queues.get(criticality) ?? [];
    const leave = () => waiter.settle(refuse(criticality, "gone"));
    const waiter: Waiter = {
      sinceMs: clock.now(),
      arrival,
      settle(answer) {
        queue.splice(queue.indexOf(waiter), 1);
        queued--;
        stopTimer();
        arrival.signal?.removeEventListener("abort", leave);
        resolve(answer);
      },
    };
    const stopTimer = clock.after(maxQueueAgeMs, () => waiter.settle(refuse(criticality, "waited")));
    arrival.signal?.addEventListener("abort", leave, { once: true });
    queue.push(waiter);
    queued++;
    return promise;
  }

  return {
    acquire(criticality, arrival = {}) {
      const reason = reasonAgainst(criticality, arrival);
      if (reason) return refuse(criticality, reason);
      return inflight < ceiling(criticality) ? permit(clock.now()) : wait(criticality, arrival);
    },
    refusal(criticality, arrival = {}) {
      const reason = reasonAgainst(criticality, arrival);
      return reason && refuse(criticality, reason);
    },
    state: () => ({
      limit: limiter.limit(),
      inflight,
      queued,
      queueAgeMs: oldestAgeMs(),
      sheddingForMs: episode.lastsMs(),
    }),
  };
}

import { availableParallelism } from "node:os";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { type Policies, policies as readPolicies } from "../../contract/policy.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Sampler } from "../../core/trace.ts";
import { type AdmissionOptions, type AdmissionState, admission } from "../../resilience/admission.ts";
import { gradient2 } from "../../resilience/limiter.ts";
import { serviceTimes } from "../../resilience/service-time.ts";
import { admitCalls } from "./admit-calls.ts";
import { beginWork, SERVER_TIMEOUTS, type ServerTimeouts } from "./begin-work.ts";
import { boundStreams } from "./bound-streams.ts";
import type { CallLimits } from "./call-limits.ts";
import { type EarlyGate, type EarlyRefusal, earlyGate } from "./early-gate.ts";
import { endWhenDraining } from "./end-when-draining.ts";
import { joinDuplicates } from "./join-duplicates.ts";
import { watchLoopDelay } from "./loop-delay.ts";
import { refuseOverdue } from "./overdue.ts";
import { raceDeadline } from "./race-deadline.ts";
import { logCall, logRequests } from "./request-log.ts";
import { tellDeprecation } from "./tell-deprecation.ts";
import { validateRequests } from "./validation.ts";

/** What the layers of a server may be told. */
export interface ServerStackOptions {
  /** The services of the contract that it offers. */
  readonly services: readonly DescService[];
  readonly log: Log;
  readonly timeouts?: Partial<ServerTimeouts>;
  /** Defaults to what the contracts say. */
  readonly policies?: Policies;
  /** Measures every call that reaches the stack. */
  readonly telemetry?: Interceptor;
  /** Learns of every call that does not. It runs as the work that the call would have been. */
  readonly onEarlyRefusal?: (refusal: EarlyRefusal) => void;
  /** Learns of every call that was refused because its deadline had passed. */
  readonly onOverdue?: (method: DescMethod) => void;
  /** Says which traces are recorded. Defaults to those that the caller records. */
  readonly sampler?: Sampler;
  /** Bounds how often each caller calls. Defaults to no bound. */
  readonly limits?: CallLimits;
  /** Refuses who may not call, and notes who calls. Defaults to letting everybody call. */
  readonly access?: Interceptor;
  /** Spoils calls on purpose; what it does counts as the handler's own. */
  readonly faults?: Interceptor;
  /** What bounds unary calls. The limiter defaults to `gradient2`, the delay to that of this process. */
  readonly admission?: Partial<Omit<AdmissionOptions, "clock" | "random">>;
  /** How many streams may be open. Defaults to 1,000. */
  readonly maxStreams?: number;
  readonly clock?: Clock;
  /** A number from 0 to below 1. Defaults to `Math.random`. */
  readonly random?: () => number;
}

/** What the layers of a server are doing. */
export interface ServerStackState extends AdmissionState {
  /** Streams that are open, those for operators left out. */
  readonly streams: number;
  /** Handlers that still run whose calls have been answered without them. */
  readonly abandonedHandlers: number;
}

/** The layers of a server. */
export interface ServerStack {
  /** Stands before Connect. */
  readonly early: EarlyGate;
  /** The first is the outermost. */
  readonly interceptors: Interceptor[];
  state(): ServerStackState;
  stop(): void;
}

/** The layers that a call passes on its way to its handler. They refuse new calls once `draining` aborts. */
export function serverStack(options: ServerStackOptions, draining: AbortSignal): ServerStack {
  const { services, log, clock = systemClock, random = Math.random, maxStreams = 1_000 } = options;
  const { policies = readPolicies(), telemetry, access, limits, faults } = options;
  const loopDelay = watchLoopDelay(clock);
  const calls = admission({
    limiter: gradient2({ min: Math.max(8, 2 * availableParallelism()) }, clock),
    loopDelayMs: loopDelay.delayMs,
    ...options.admission,
    clock,
    random,
  });
  const streams = boundStreams(maxStreams, random);
  const race = raceDeadline(clock);
  const reading = {
    clock,
    policies,
    timeouts: { ...SERVER_TIMEOUTS, ...options.timeouts },
    ...(options.sampler && { sampler: options.sampler }),
  };

  // What refuses a call by its headers alone, the first one first.
  const gates = [
    // Above all else that refuses: another instance can take the call, whatever is wrong with it here.
    endWhenDraining(draining),
    // Above what makes calls wait: nobody waits for this one any more.
    refuseOverdue(clock, options.onOverdue),
    // Above what takes permits, because streams take none.
    streams,
    // Above all work, so that there is never more of it than can be done.
    admitCalls({ admission: calls, times: serviceTimes(clock), policies, clock }),
  ];

  // The first is the outermost.
  const interceptors: Interceptor[] = [
    // Above all, so that every line below knows its trace, its request, its deadline and its criticality.
    beginWork(reading),
    // Above what refuses, so that refusals are measured, and above the log, whose errors are the wire's.
    ...(telemetry ? [telemetry] : []),
    // Above what refuses, so that refusals tell it too; above the log, whose errors are the wire's.
    tellDeprecation(),
    // Above what refuses, so that refusals are logged; below it errors are ours, above it they are the wire's.
    logRequests(log, clock),
    ...gates.map((gate) => gate.interceptor),
    // Below the admission, because proofs cost work; above all that answers, also with the answer to another.
    ...(access ? [access] : []),
    // Below what knows who calls; above all that answers, also with the answer to another call.
    ...(limits ? [limits.interceptor] : []),
    // Above the race: who waits for another's answer has a deadline of its own, and no handler to leave behind.
    joinDuplicates(policies, clock),
    // Above validation, which runs on the caller's time too.
    race.interceptor,
    // Below the race and the admission, so that a delay on purpose is cut off and counted like one of the handler.
    ...(faults ? [faults] : []),
    // Next to the handler, so that it sees only what its contract allows.
    validateRequests(),
  ];

  const early = earlyGate({
    ...reading,
    services: [...services, Health],
    gates,
    onRefused(refusal) {
      const { method, error } = refusal;
      logCall(log, { service: method.parent, method, ms: 0, error });
      options.onEarlyRefusal?.(refusal);
    },
  });

  return {
    early,
    interceptors,
    state: () => ({ ...calls.state(), streams: streams.open(), abandonedHandlers: race.abandoned() }),
    stop: () => loopDelay.stop(),
  };
}

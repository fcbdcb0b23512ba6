import type { Interceptor } from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { policies as readPolicies } from "../contract/policy.ts";
import { systemClock } from "../core/clock.ts";
import { asPartOf, newCall, policyOf, type Request, type Surroundings } from "./call.ts";
import { rejection } from "./rejection.ts";
import { readTimeoutMs } from "./timeout-header.ts";

/** What bounds a call from outside. */
export interface DeadlineOptions extends Surroundings {
  /** How long the caller's own caller still waits, in milliseconds. Defaults to for ever. */
  readonly callerLeftMs?: () => number;
  /** What this call asks for, in milliseconds; undefined if nothing. Defaults to what its headers say. */
  readonly askedMs?: (request: Request) => number | undefined;
  readonly onRejected?: () => void;
}

/** Kept back from what the caller has left, for our own answer. Milliseconds. */
const RESERVE_MS = 5;
/** Less is not worth sending. Milliseconds. */
export const MIN_TIMEOUT_MS = 2;

/**
 * Gives a call its deadline: the earliest of what its caller has left, less a reserve, what the call asks for, and what
 * its policy allows. A call for which no time is left fails here with DEADLINE_BUDGET_EXHAUSTED; nothing is sent.
 */
export function totalDeadline(options: DeadlineOptions = {}): Interceptor {
  const { clock = systemClock, policies = readPolicies(), onRejected } = options;
  const { callerLeftMs = () => Number.POSITIVE_INFINITY, askedMs = ({ header }) => readTimeoutMs(header) } =
    options;
  return (next) => (request) => {
    const policy = policyOf(request, policies);
    const leftMs = Math.min(
      callerLeftMs() - RESERVE_MS,
      askedMs(request) ?? Number.POSITIVE_INFINITY,
      policy.timeoutMs,
    );
    if (leftMs < MIN_TIMEOUT_MS) {
      onRejected?.();
      const text = "no time is left for the call; it was not sent";
      return Promise.reject(rejection(MeshError.DEADLINE_BUDGET_EXHAUSTED, text, "TOTAL_TIMEOUT"));
    }
    return next(asPartOf(request, newCall(request, policy, clock.now() + leftMs)));
  };
}

import { type ContextValues, createContextKey } from "@connectrpc/connect";
import type { Trace } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import type { Attributes } from "./instruments.ts";
import type { OpenSpan } from "./spans.ts";

/** An outgoing call that is under way, with all its attempts. */
export interface RunningCall {
  /** Its own place in the trace; undefined if it is none of its own, but part of the present work. */
  readonly trace: Trace | undefined;
  /** Undefined if the trace is not sampled. */
  readonly span: OpenSpan | undefined;
  retries: number;
  transparentRetries: number;
  hedges: number;
  /** How long it waited for its next attempt, in all. */
  delayMs: number;
}

const key = createContextKey<RunningCall | undefined>(undefined, { description: "the call that runs" });

/** Makes the call known to the layers below, by the values of its request. */
export function setRunningCall(values: ContextValues, call: RunningCall): void {
  values.set(key, call);
}

/** The call that a request belongs to. */
export function runningCall(values: ContextValues): RunningCall | undefined {
  return values.get(key);
}

/** The trace that the attempts of a call belong to: its own, or that of the present work. */
export function traceOfCall(values: ContextValues): Trace | undefined {
  return runningCall(values)?.trace ?? currentWork()?.trace;
}

/** Notes something that happens to a call, such as a retry that its budget refuses, in its span if it has one. */
export function noteOnCall(values: ContextValues, event: string, attributes?: Attributes): void {
  runningCall(values)?.span?.event(event, attributes);
}

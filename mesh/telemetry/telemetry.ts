import { type Clock, systemClock } from "../core/clock.ts";
import type { Sampler } from "../core/trace.ts";
import { type Meter, noMetrics } from "./metrics.ts";
import { followParent } from "./sampler.ts";
import type { StartSpan } from "./spans.ts";

/** What a process tells of itself: metrics and spans. Nothing of it throws or rejects. */
export interface Telemetry extends Meter {
  /** False if nothing is kept, so that nothing needs to be measured. */
  readonly isOn: boolean;
  /** The clock of all that it measures. */
  readonly clock: Clock;
  /** Whether a trace that begins here, or enters the process, is sampled. */
  readonly sampler: Sampler;
  /** Begins a span, of a sampled trace only. Undefined if no spans are sent. */
  readonly startSpan: StartSpan | undefined;
  /** The names under which the code of a call is written. */
  readonly codeNames: readonly CodeName[];
  /** The text of `/metrics`, of the type {@link PROMETHEUS_TYPE}. Empty if the settings do not ask for Prometheus. */
  prometheus(): Promise<string>;
  /** Sends what is left, and ends. Takes 2 s at most. Safe to call twice. */
  close(): Promise<void>;
}

/** The attribute of a call's code: the name in the standard, and that of its release candidate. */
export type CodeName = "rpc.status_code" | "rpc.response.status_code";

/** The content type of `/metrics`. */
export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Telemetry that is off: it keeps nothing, and costs nothing. */
export const noTelemetry: Telemetry = {
  ...noMetrics,
  isOn: false,
  clock: systemClock,
  sampler: followParent,
  startSpan: undefined,
  codeNames: [],
  prometheus: async () => "",
  close: async () => {},
};

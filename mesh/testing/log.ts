import { pino } from "pino";
import type { Log } from "../core/log.ts";

/** A line of a log, as it would be written. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg?: string };

/** A log that keeps its lines for the test to read. */
export function recordingLog(): { readonly log: Log; readonly lines: readonly LogLine[] } {
  const lines: LogLine[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  return { log: pino({ level: "trace" }, { write }), lines };
}

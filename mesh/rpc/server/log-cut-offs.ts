import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";

/** A second at least lies between two lines of one guard. */
const EVERY_MS = 1_000;

/**
 * Writes a line for each connection that was cut off, with the guard that did it; who attacks must not fill the log as well,
 * so that lines that come too soon are left out, and the next one says how many.
 */
export function logCutOffs(log: Log, clock: Clock): (guard: string) => void {
  const written = new Map<string, { atMs: number; leftOut: number }>();
  return (guard) => {
    const last = written.get(guard);
    const now = clock.now();
    if (last && now - last.atMs < EVERY_MS) {
      last.leftOut++;
      return;
    }
    written.set(guard, { atMs: now, leftOut: 0 });
    log.warn({ guard, ...(last && { leftOut: last.leftOut }) }, "a connection was cut off");
  };
}

import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../../core/clock.ts";

/** Watches how late the event loop is. */
export interface LoopDelay {
  /** By how much the worst turn of each quarter of the last second was late, in the best of the four. Milliseconds. */
  delayMs(): number;
  stop(): void;
}

const RESOLUTION_MS = 20;
const SLICE_MS = 250;
const SLICES = 4;

/**
 * The 99th percentile of how late the event loop is, as it has been for a whole second: one long turn, of the garbage
 * collector or of a start, is no overload. It is read when it is asked for; no timer of ours runs.
 */
export function watchLoopDelay(clock: Clock): LoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const slices: number[] = Array(SLICES).fill(0);
  let sliceEndsMs = clock.now() + SLICE_MS;
  let delayMs = 0;
  return {
    delayMs() {
      if (clock.now() < sliceEndsMs) return delayMs;
      sliceEndsMs = clock.now() + SLICE_MS;
      // It measures from one tick of its timer to the next.
      slices.push(histogram.percentile(99) / 1e6 - RESOLUTION_MS);
      slices.shift();
      histogram.reset();
      delayMs = Math.max(Math.min(...slices), 0);
      return delayMs;
    },
    stop: () => void histogram.disable(),
  };
}

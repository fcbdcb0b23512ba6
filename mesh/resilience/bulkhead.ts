import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import type { Clock } from "../core/clock.ts";
import { callerLeft, rejection } from "./rejection.ts";

/** Bounds how many calls are under way. */
export interface Bulkhead {
  /**
   * The function that gives the place back, at once if there is one. Throws BULKHEAD_FULL if there is no place, and
   * rejects with it if none comes free within a part of the time that is left.
   */
  enter(leftMs: number, signal: AbortSignal): (() => void) | Promise<() => void>;
  readonly inflight: number;
  readonly limit: number;
}

/** How many calls may be under way, and wait. */
export interface BulkheadPolicy {
  readonly maxConcurrent: number;
  readonly maxQueue: number;
}

const MAX_WAIT_MS = 100;
const WAIT_SHARE = 0.25;

/** A semaphore with a short queue, first come first served; who leaves the queue leaves no trace in it. */
export function bulkhead({ maxConcurrent, maxQueue }: BulkheadPolicy, clock: Clock): Bulkhead {
  let inflight = 0;
  const queue = new Set<() => void>();

  const place = () => {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      // The place passes on without becoming free in between.
      const [next] = queue;
      if (next) next();
      else inflight--;
    };
  };

  return {
    enter(leftMs, signal) {
      if (signal.aborted) throw callerLeft(signal.reason);
      if (inflight < maxConcurrent) {
        inflight++;
        return place();
      }
      if (queue.size >= maxQueue) throw full(maxConcurrent);
      return new Promise((resolve, reject) => {
        const leave = () => {
          queue.delete(enter);
          stopWaiting();
          signal.removeEventListener("abort", giveUp);
        };
        const enter = () => {
          leave();
          resolve(place());
        };
        const giveUp = () => {
          leave();
          reject(signal.aborted ? callerLeft(signal.reason) : full(maxConcurrent));
        };
        queue.add(enter);
        signal.addEventListener("abort", giveUp, { once: true });
        const stopWaiting = clock.after(Math.min(MAX_WAIT_MS, leftMs * WAIT_SHARE), giveUp);
      });
    },
    get inflight() {
      return inflight;
    },
    limit: maxConcurrent,
  };
}

function full(limit: number) {
  return rejection(
    MeshError.BULKHEAD_FULL,
    `${limit} calls to this service are under way already; nothing was sent`,
  );
}

import type { Clock } from "../core/clock.ts";

/**
 * Says how far a peer has come with something that it has begun, as a number that is another one each time that it gets on;
 * undefined if it has nothing to bring to its end.
 */
export type Progress = () => number | undefined;

/** What is watched. */
export interface Watched {
  readonly progress: Progress;
  readonly onStall: () => void;
}

/**
 * Looks once in `withinMs` whether a peer gets on, and calls `onStall` if it has come no further since the last look; so a
 * peer that stands still is found after once to twice that time. Looking now and then costs nothing where a timer for each
 * frame would; `onLook` is called each time too. Returns what ends it.
 */
export function watchProgress(
  clock: Clock,
  withinMs: number,
  watched: readonly Watched[],
  onLook: () => void = () => {},
): () => void {
  const last: (number | undefined)[] = watched.map(() => undefined);
  let isOver = false;
  let stop = () => {};
  const look = () => {
    for (const [i, { progress, onStall }] of watched.entries()) {
      if (isOver) return;
      const now = progress();
      if (now !== undefined && now === last[i]) onStall();
      last[i] = now;
    }
    if (!isOver) onLook();
    if (!isOver) stop = clock.after(withinMs, look);
  };
  stop = clock.after(withinMs, look);
  return () => {
    isOver = true;
    stop();
  };
}

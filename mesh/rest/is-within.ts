import type { Clock } from "../core/clock.ts";

/** Whether it comes in time. Rejects if it fails in that time; a later failure is kept until somebody asks for it. */
export async function isWithin(coming: Promise<unknown>, withinMs: number, clock: Clock): Promise<boolean> {
  coming.catch(() => {});
  const came = new AbortController();
  const late = clock.sleep(withinMs, came.signal).then(() => came.signal.aborted);
  return Promise.race([coming.then(() => true), late]).finally(() => came.abort());
}

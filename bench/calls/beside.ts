import { type Load, putLoad } from "./load.ts";
import type { Call } from "./peer.ts";
import { median } from "./statistics.ts";

const TURNS = 8;

/**
 * How many calls a second one client has for each of another one's, both in this process: they take short turns, so that
 * a process that is slow all its life, or a moment that is, is so for both. The median of the turns; what fails is no call,
 * and throws if nothing else came.
 */
export async function beside(ours: Call, base: Call, load: Load): Promise<number> {
  const ratios: number[] = [];
  const turn = { ...load, ms: load.ms / TURNS };
  for (let n = 0; n < TURNS; n++) {
    const measured = await putLoad(ours, turn);
    if (measured.calls === 0) throw new Error(measured.error);
    ratios.push(measured.perSecond / (await putLoad(base, turn)).perSecond);
  }
  return median(ratios);
}

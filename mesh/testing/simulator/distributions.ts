import type { Random } from "../random.ts";

/** A length that chance chooses. Milliseconds. */
export type Distribution = (random: Random) => number;

/** Always the same. */
export const constant =
  (ms: number): Distribution =>
  () =>
    ms;

/** Exponential: many are short, some are long. */
export const exponential =
  (meanMs: number): Distribution =>
  (random) =>
    -meanMs * Math.log(1 - random.next());

/** Lognormal: what latencies look like when no queue is in the way. Its mean is `medianMs * exp(sigma² / 2)`. */
export const lognormal =
  (medianMs: number, sigma: number): Distribution =>
  (random) =>
    medianMs * Math.exp(sigma * normal(random));

/** Box and Muller's. */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}

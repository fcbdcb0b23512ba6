import { type Clock, systemClock } from "../../mesh/core/clock.ts";

/** The machine's clock, whose time of day is wrong by so much. Milliseconds. */
export function skewedClock(skewMs: number): Clock {
  return { ...systemClock, date: () => new Date(Date.now() + skewMs) };
}

import { type Clock, systemClock } from "../../mesh/core/clock.ts";
import type { Outcome } from "../../mesh/events/saga.ts";

/** Who brings pieces: simulated, as slow as it is told to be. */
export interface Supplier {
  /** Packs what was ordered. */
  pack(): Promise<Outcome>;
  /** Brings what is packed. */
  bring(): Promise<Outcome>;
  /** Gives up what is under way: it is begun again by whoever runs next. */
  close(): void;
}

/** A supplier that takes `stepMs` for each step. */
export function openSupplier(stepMs: number, clock: Clock = systemClock): Supplier {
  const closing = new AbortController();
  const work = async (): Promise<Outcome> => {
    await clock.sleep(stepMs, closing.signal);
    return closing.signal.aborted
      ? { kind: "unanswered", error: new Error("given up: the service stops") }
      : { kind: "done" };
  };
  return { pack: work, bring: work, close: () => closing.abort() };
}

import { type Clock, systemClock } from "../../mesh/core/clock.ts";
import type { Running } from "../../mesh/core/process.ts";

/** What takes long. */
export interface LongWork {
  readonly what: string;
  /** How many there are to be. */
  readonly of: number;
  /** How many there are by now. */
  readonly done: () => number;
  /** What else is to be said of it now. */
  readonly besides: () => string;
  readonly say: (what: string) => void;
  readonly clock?: Clock;
}

const EVERY_MS = 15_000;

/** Says every 15 s how far something is, and when it will be done if it goes on as it has since it was last said. */
export function sayProgress({ what, of, done, besides, say, clock = systemClock }: LongWork): Running {
  const stopping = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    for (let before = done(); !stopping.signal.aborted; ) {
      await clock.sleep(EVERY_MS, stopping.signal);
      if (stopping.signal.aborted) return;
      const now = done();
      const perSecond = (now - before) / (EVERY_MS / 1_000);
      const left = Math.max(of - now, 0);
      const when = perSecond > 0 ? `some ${Math.ceil(left / perSecond / 60)} min more` : "none of late";
      say(`${now} of ${of} ${what}, ${perSecond.toFixed(1)} a second, ${when}; ${besides()}`);
      before = now;
    }
  }

  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

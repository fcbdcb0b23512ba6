import { systemClock } from "../../mesh/core/clock.ts";
import type { Random } from "../../mesh/testing/random.ts";
import type { Part } from "./parts.ts";

/** How parts are killed. */
export interface Killing {
  readonly parts: readonly Pick<Part, "kill">[];
  readonly random: Random;
  /** From the end of one kill to the next. Milliseconds. */
  readonly everyMs: { readonly least: number; readonly most: number };
}

/** Kills that go on until they are stopped. */
export interface Killer {
  readonly kills: number;
  /** Resolves when the last part is up again. Rejects if one does not come up. */
  stop(): Promise<void>;
}

/** Kills a part at random, again and again. */
export function startKiller({ parts, random, everyMs }: Killing): Killer {
  const stopping = new AbortController();
  let kills = 0;
  async function run(): Promise<void> {
    for (;;) {
      const { least, most } = everyMs;
      await systemClock.sleep(least + random.next() * (most - least), stopping.signal);
      if (stopping.signal.aborted) return;
      await random.pick(parts).kill();
      kills++;
    }
  }
  const running = run();
  running.catch(() => stopping.abort());
  return {
    get kills() {
      return kills;
    },
    stop() {
      stopping.abort();
      return running;
    },
  };
}

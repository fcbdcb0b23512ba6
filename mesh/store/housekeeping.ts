import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import type { Sql } from "./connect.ts";
import { type Tx, transaction } from "./transaction.ts";

/** Deletes some of what is no longer needed, and returns how much. */
export type Prune = (tx: Tx) => Promise<number>;

const EVERY_MS = 60_000;

/** Prunes every minute, each kind in a transaction of its own, as long as there is something to delete. */
export function keepHouse(sql: Sql, prunes: readonly Prune[], log: Log, clock: Clock = systemClock): Running {
  const stopping = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    for (;;) {
      await clock.sleep(EVERY_MS, stopping.signal);
      if (stopping.signal.aborted) return;
      for (const prune of prunes) {
        try {
          while (!stopping.signal.aborted && (await transaction(sql, prune)) > 0);
        } catch (error) {
          log.warn({ error: messageOf(error) }, "could not prune; tries again in a minute");
        }
      }
    }
  }

  return {
    stop() {
      stopping.abort();
      return running;
    },
  };
}

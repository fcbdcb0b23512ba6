import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { growBucket } from "../discovery/bucket.ts";
import { growShared } from "../events/grow-shared.ts";
import type { Nats } from "../nats/connection.ts";

/** Where the streams are. */
export interface SharedOptions {
  readonly nats: Nats;
  readonly log: Log;
  readonly clock?: Clock;
}

const RETRY_MS = { first: 200, most: 30_000 };

/**
 * Has the broker keep what all services share as this deployment wants it, looked at on each new connection: the streams
 * of dead letters and the registry's bucket. For one service of a system, so that the others need no right to change
 * what is not theirs.
 */
export function keepShared({ nats, log, clock = systemClock }: SharedOptions): Running {
  const stopping = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      try {
        const online = await nats.online(stopping.signal);
        const signal = AbortSignal.any([stopping.signal, online.lost]);
        await growShared(online, { log, signal });
        await growBucket(online, signal);
        failures = 0;
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn({ error: messageOf(error) }, "looks again at what the services share at the broker");
      }
      await clock.sleep(Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.most), stopping.signal);
    }
  }

  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

import { type Clock, systemClock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { openLetters } from "../events/open-letters.ts";
import type { Nats } from "../nats/connection.ts";
import type { Meter } from "../telemetry/metrics.ts";
import { poll } from "./poll.ts";

/** Where the dead letters are. */
export interface MeasuredDeadLetters {
  readonly nats: Nats;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock?: Clock;
}

const EVERY_MS = 15_000;

/**
 * Shows the dead letters of all consumers that nobody has settled, as counted every 15 s: how many by consumer and
 * reason, and the age of each consumer's oldest, which goes on while the broker is away. Who has none is left out.
 */
export function measureDeadLetters({ nats, meter, log, clock = systemClock }: MeasuredDeadLetters): Running {
  const read = async (signal: AbortSignal) => openLetters(await nats.online(signal), signal);
  const letters = poll({ what: "the dead letters", read, everyMs: EVERY_MS, log, clock });
  const open = () => letters.last()?.value ?? [];
  const ends = [
    meter.gauge("mesh.dead_letter.depth", () =>
      open().flatMap(({ consumer, countByReason }) =>
        Object.entries(countByReason).map(([reason, value]) => ({ value, attributes: { consumer, reason } })),
      ),
    ),
    meter.gauge("mesh.dead_letter.oldest_age", () =>
      open().flatMap(({ consumer, oldestTime }) => {
        if (!oldestTime) return [];
        const ageMs = Math.max(clock.date().getTime() - oldestTime.getTime(), 0);
        return [{ value: ageMs / 1_000, attributes: { consumer } }];
      }),
    ),
  ];
  return {
    async stop() {
      await letters.stop();
      for (const end of ends) end();
    },
  };
}

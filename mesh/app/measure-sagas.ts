import { type Clock, systemClock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import type { Saga } from "../events/saga.ts";
import { type ActiveSagas, activeSagas } from "../events/saga-stats.ts";
import type { Sql } from "../store/connect.ts";
import type { Meter } from "../telemetry/metrics.ts";
import { poll } from "./poll.ts";

/** The sagas to measure. */
export interface MeasuredSagas {
  readonly sql: Sql;
  readonly saga: Saga<string>;
  readonly meter: Meter;
  readonly log: Log;
  readonly clock?: Clock;
}

const EVERY_MS = 5_000;

/**
 * Shows how many sagas of a kind are in each state that is not their end, and how long they have been there, as counted
 * every 5 s. Each instance shows the same sagas.
 */
export function measureSagas({ sql, saga, meter, log, clock = systemClock }: MeasuredSagas): Running {
  const read = () => activeSagas(sql, saga);
  const sagas = poll({ what: `the sagas of ${saga.table}`, read, everyMs: EVERY_MS, log, clock });
  const each = (read: (active: ActiveSagas, agoMs: number) => number) => () => {
    const last = sagas.last();
    return (last?.value ?? []).map((active) => ({
      value: read(active, last?.agoMs ?? 0),
      attributes: { saga: saga.table, state: active.state },
    }));
  };
  const ends = [
    meter.gauge(
      "mesh.saga.active",
      each(({ count }) => count),
    ),
    meter.gauge(
      "mesh.saga.oldest_age",
      each(({ oldestMs }, agoMs) => (oldestMs === undefined ? 0 : (oldestMs + agoMs) / 1_000)),
    ),
  ];
  return {
    async stop() {
      await sagas.stop();
      for (const end of ends) end();
    },
  };
}

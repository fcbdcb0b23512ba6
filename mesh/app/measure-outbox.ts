import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { type OutboxStats, outboxBytes, outboxStats } from "../events/outbox-stats.ts";
import type { Sql } from "../store/connect.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";

/** The outbox to measure. */
export interface MeasuredOutbox {
  readonly sql: Sql;
  readonly streams: readonly string[];
  readonly telemetry: Telemetry;
  readonly log: Log;
  readonly clock?: Clock;
}

const EVERY_MS = 5_000;

/**
 * Shows what the outbox holds in the gauges of the telemetry, as counted every 5 s; the age of what waits goes on in
 * between, and when the database is away. Each instance shows the same outbox, so that one that dies leaves no gap.
 */
export function measureOutbox({
  sql,
  streams,
  telemetry,
  log,
  clock = systemClock,
}: MeasuredOutbox): Running {
  const stopping = new AbortController();
  let seen:
    | { readonly stats: readonly OutboxStats[]; readonly bytes: number; readonly atMs: number }
    | undefined;
  const each = (read: (stats: OutboxStats) => number) => () =>
    (seen?.stats ?? []).map((stats) => ({ value: read(stats), attributes: { stream: stats.stream } }));
  const ageOf = ({ oldestPendingAgeMs }: OutboxStats) =>
    oldestPendingAgeMs === undefined ? 0 : (oldestPendingAgeMs + clock.now() - (seen?.atMs ?? 0)) / 1_000;
  const ends = [
    telemetry.gauge(
      "mesh.outbox.pending",
      each(({ pending }) => pending),
    ),
    telemetry.gauge("mesh.outbox.oldest_pending_age", each(ageOf)),
    telemetry.gauge(
      "mesh.outbox.quarantined",
      each(({ quarantined }) => quarantined),
    ),
    telemetry.gauge("mesh.outbox.table.size", () => (seen ? [{ value: seen.bytes, attributes: {} }] : [])),
  ];
  const running = telemetry.isOn ? run() : Promise.resolve();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const [stats, bytes] = await Promise.all([outboxStats(sql, streams), outboxBytes(sql)]);
        seen = { stats, bytes, atMs: clock.now() };
      } catch (error) {
        log.warn({ error: messageOf(error) }, "could not measure the outbox");
      }
      await clock.sleep(EVERY_MS, stopping.signal);
    }
  }

  return {
    async stop() {
      stopping.abort();
      await running;
      for (const end of ends) end();
    },
  };
}

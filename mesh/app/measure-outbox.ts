import { type Clock, systemClock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { type OutboxStats, outboxBytes, outboxStats } from "../events/outbox-stats.ts";
import type { Sql } from "../store/connect.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";
import { poll } from "./poll.ts";

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
  async function read() {
    const [stats, bytes] = await Promise.all([outboxStats(sql, streams), outboxBytes(sql)]);
    return { stats, bytes };
  }

  const outbox = telemetry.isOn
    ? poll({ what: "the outbox", read, everyMs: EVERY_MS, log, clock })
    : undefined;
  const each = (show: (stats: OutboxStats, agoMs: number) => number) => () => {
    const last = outbox?.last();
    return (last?.value.stats ?? []).map((stats) => ({
      value: show(stats, last?.agoMs ?? 0),
      attributes: { stream: stats.stream },
    }));
  };
  const ageOf = ({ oldestPendingAgeMs }: OutboxStats, agoMs: number) =>
    oldestPendingAgeMs === undefined ? 0 : (oldestPendingAgeMs + agoMs) / 1_000;
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
    telemetry.gauge("mesh.outbox.table.size", () => {
      const last = outbox?.last();
      return last ? [{ value: last.value.bytes, attributes: {} }] : [];
    }),
  ];

  return {
    async stop() {
      await outbox?.stop();
      for (const end of ends) end();
    },
  };
}

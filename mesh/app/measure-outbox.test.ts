import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { recordingTelemetry } from "../telemetry/recording.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { until } from "../testing/until.ts";
import { measureOutbox } from "./measure-outbox.ts";

const { sql } = await meshDatabase();

/** What the gauges of the outbox show, by name and stream. */
async function shown(telemetry: ReturnType<typeof recordingTelemetry>): Promise<Map<string, number>> {
  const lines = (await telemetry.prometheus()).split("\n").filter((line) => line.startsWith("mesh_outbox_"));
  return new Map(lines.map((line) => [line.split(" ")[0] ?? "", Number(line.split(" ")[1])]));
}

test("the gauges show the outbox as it was when it was counted last; what waits grows older all the time", async () => {
  await sql`
    INSERT INTO outbox (event_id, stream, subject, type, headers, payload, created_at, failed_at)
    VALUES (gen_random_uuid(), 'A', 'x', 'x', '{}', '', now() - interval '100 seconds', NULL),
           (gen_random_uuid(), 'A', 'x', 'x', '{}', '', now(), now())`;
  const clock = manualClock();
  const telemetry = recordingTelemetry();
  const measured = measureOutbox({ sql, streams: ["A", "B"], telemetry, log: silentLog, clock });
  atEnd(() => measured.stop());
  await clock.whenSleeping(1);
  const first = await shown(telemetry);
  expect(first.get('mesh_outbox_pending{stream="A"}')).toBe(1);
  expect(first.get('mesh_outbox_pending{stream="B"}')).toBe(0);
  expect(first.get('mesh_outbox_quarantined{stream="A"}')).toBe(1);
  expect(first.get('mesh_outbox_oldest_pending_age{stream="B"}')).toBe(0);
  expect(first.get("mesh_outbox_table_size")).toBeGreaterThan(0);
  const ageS = first.get('mesh_outbox_oldest_pending_age{stream="A"}') ?? 0;
  expect(ageS).toBeGreaterThanOrEqual(100);

  clock.advance(4_000);
  expect((await shown(telemetry)).get('mesh_outbox_oldest_pending_age{stream="A"}')).toBeCloseTo(ageS + 4, 6);
  await sql`UPDATE outbox SET published_at = now() WHERE failed_at IS NULL`;
  clock.advance(1_000);
  await until(async () => (await shown(telemetry)).get('mesh_outbox_pending{stream="A"}') === 0);
  expect((await shown(telemetry)).get('mesh_outbox_oldest_pending_age{stream="A"}')).toBe(0);

  await measured.stop();
  expect([...(await shown(telemetry)).keys()]).toEqual([]);
});

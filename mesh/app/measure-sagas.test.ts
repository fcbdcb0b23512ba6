import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import type { Saga } from "../events/saga.ts";
import { startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { until } from "../testing/until.ts";
import { measureSagas } from "./measure-sagas.ts";

const { sql } = await meshDatabase();

const saga: Saga<string> = {
  table: "trip_saga",
  key: "trip_id",
  rules: { BEGUN: { does: ["book"] }, UNDOING: { does: ["unbook"] }, DONE: {} },
  act: async () => ({ kind: "done" }),
  entered: async () => {},
};

test("sagas that are not at their end are shown by state, with the age of the oldest", async () => {
  await sql`
    CREATE TABLE trip_saga (
      trip_id text PRIMARY KEY, state text NOT NULL, next_attempt_at timestamptz DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now())`;
  await sql`
    INSERT INTO trip_saga (trip_id, state, next_attempt_at, updated_at)
    VALUES ('a', 'BEGUN', now(), now()), ('b', 'BEGUN', now(), now() - interval '100 seconds'),
           ('c', 'DONE', NULL, now() - interval '1 day')`;
  const clock = manualClock();
  const metrics = startMetrics({ keepsEndpoints: false });
  const measured = measureSagas({ sql, saga, meter: metrics, log: silentLog, clock });
  atEnd(() => measured.stop());
  const shown = (name: string) => {
    const points = metrics.read().gauges.find((gauge) => gauge.name === name)?.points ?? [];
    return Object.fromEntries(
      points.map(([attributes, value]) => [`${attributes.saga} ${attributes.state}`, value]),
    );
  };
  await clock.whenSleeping(1);
  expect(shown("mesh.saga.active")).toEqual({ "trip_saga BEGUN": 2, "trip_saga UNDOING": 0 });
  const { "trip_saga BEGUN": ageS = 0, ...others } = shown("mesh.saga.oldest_age");
  expect(ageS).toBeGreaterThanOrEqual(100);
  expect(others).toEqual({ "trip_saga UNDOING": 0 });

  clock.advance(4_000);
  expect(shown("mesh.saga.oldest_age")["trip_saga BEGUN"]).toBeCloseTo(ageS + 4, 6);
  await sql`UPDATE trip_saga SET state = 'DONE', next_attempt_at = NULL`;
  clock.advance(1_000);
  await until(() => shown("mesh.saga.active")["trip_saga BEGUN"] === 0);
  expect(shown("mesh.saga.oldest_age")["trip_saga BEGUN"]).toBe(0);

  await measured.stop();
  expect(shown("mesh.saga.active")).toEqual({});
});

import { expect, test } from "vitest";
import { type Clock, systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import { childOf } from "../core/trace.ts";
import { currentWork, runWork } from "../core/work.ts";
import { transaction } from "../store/transaction.ts";
import { type Meter, noMetrics, startMetrics } from "../telemetry/metrics.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { until } from "../testing/until.ts";
import { beginSaga, cancelSaga, nextMove, type Outcome, type Rule, runSagas, type Saga } from "./saga.ts";

const { sql } = await meshDatabase();

type State = "BEGUN" | "BOOKED" | "UNDOING" | "DONE" | "FAILED";

const rules: Readonly<Record<State, Rule<State>>> = {
  BEGUN: {
    does: ["book"],
    withinMs: 60_000,
    done: () => ({ to: "BOOKED" }),
    refused: (reason) => ({ to: "UNDOING", reason }),
    overdue: () => ({ to: "UNDOING", reason: "TIMEOUT" }),
    cancel: (reason) => ({ to: "UNDOING", reason }),
  },
  BOOKED: { does: ["pay", "print"], done: () => ({ to: "DONE" }) },
  UNDOING: { does: ["unbook"], compensates: true, done: () => ({ to: "FAILED" }) },
  DONE: {},
  FAILED: {},
};

const DONE: Outcome = { kind: "done" };
const UNANSWERED: Outcome = { kind: "unanswered", error: new Error("timeout") };

// Looks for sagas that are due all the time, so that a test need not wait for the next poll; the bound of a stop, which
// no signal ends, stays as it is.
const eager: Clock = {
  ...systemClock,
  sleep: (delayMs, signal) => systemClock.sleep(signal ? Math.min(delayMs, 5) : delayMs, signal),
};

type Act = (action: string, id: string) => Promise<Outcome>;

let tables = 0;

/** A saga with a table of its own, and what its tests look at. */
async function trips(act: Act = async () => DONE) {
  const table = `trip_${++tables}`;
  await sql`
    CREATE TABLE ${sql(table)} (
      trip_id text PRIMARY KEY, state text NOT NULL, version int NOT NULL DEFAULT 1, reason text,
      deadline_at timestamptz, next_attempt_at timestamptz DEFAULT now(), step_attempts int NOT NULL DEFAULT 0,
      updated_at timestamptz NOT NULL DEFAULT now(), traceparent text, request_id text, carried jsonb)`;
  const entered: string[] = [];
  const acts: string[] = [];
  const saga: Saga<State> = {
    table,
    key: "trip_id",
    rules,
    act(action, id) {
      acts.push(`${id} ${action}`);
      return act(action, id);
    },
    async entered(tx, id, state, reason) {
      tx.afterCommit(() => entered.push([id, state, reason].filter(Boolean).join(" ")));
    },
  };
  return {
    saga,
    acts,
    entered,
    begin: (id: string) => transaction(sql, (tx) => beginSaga(tx, saga, id, "BEGUN")),
    cancel: (id: string) => transaction(sql, (tx) => cancelSaga(tx, saga, id, "CALLED_OFF")),
    run(of: Saga<State> = saga, meter: Meter = noMetrics, clock: Clock = eager) {
      const runner = runSagas({ sql, saga: of, log: silentLog, meter, clock });
      atEnd(() => runner.stop());
      return runner;
    },
    async row(id: string) {
      const [row] = await sql`
        SELECT *, next_attempt_at <= now() AS due, next_attempt_at > now() + interval '10 seconds' AS leased
        FROM ${sql(table)} WHERE trip_id = ${id}`;
      return row;
    },
    /** What a wait does: the saga's time has come. */
    dueNow: (id: string) => sql`UPDATE ${sql(table)} SET next_attempt_at = now() WHERE trip_id = ${id}`,
    /** Until the saga has entered a state, which its runner knows a moment after the database does. */
    untilIn: (id: string, state: State) =>
      until(() => entered.some((line) => `${line} `.startsWith(`${id} ${state} `))),
  };
}

test("a saga whose steps succeed goes through its states in order and ends", async () => {
  const trip = await trips();
  trip.run();
  await trip.begin("a");
  await trip.untilIn("a", "DONE");
  expect(trip.acts).toEqual(["a book", "a pay", "a print"]);
  expect(trip.entered).toEqual(["a BOOKED", "a DONE"]);
  expect(await trip.row("a")).toMatchObject({
    version: 3,
    next_attempt_at: null,
    deadline_at: null,
    reason: null,
  });
});

test("a saga of a transaction that rolls back never was", async () => {
  const trip = await trips();
  const failed = transaction(sql, async (tx) => {
    await beginSaga(tx, trip.saga, "a", "BEGUN");
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  expect(await trip.row("a")).toBeUndefined();
});

test("sagas that time out and those that are undone are counted, by state and by reason", async () => {
  const metrics = startMetrics({ keepsEndpoints: false });
  const trip = await trips();
  for (const id of ["late", "cancelled", "well"]) await trip.begin(id);
  await sql`UPDATE ${sql(trip.saga.table)} SET deadline_at = now() WHERE trip_id = 'late'`;
  await trip.cancel("cancelled");
  const runner = trip.run(trip.saga, metrics);
  await trip.untilIn("late", "FAILED");
  await trip.untilIn("cancelled", "FAILED");
  await trip.untilIn("well", "DONE");
  await runner.stop();
  const counted = (name: string) => metrics.read().counters.find((counter) => counter.name === name)?.points;
  const saga = trip.saga.table;
  expect(counted("mesh.saga.timeouts")).toEqual([[{ saga, state: "BEGUN" }, 1]]);
  expect(new Set(counted("mesh.saga.compensations"))).toEqual(
    new Set([
      [{ saga, reason: "TIMEOUT" }, 1],
      [{ saga, reason: "CALLED_OFF" }, 1],
    ]),
  );
});

test("a refusal leads where its rule says, and its reason stays", async () => {
  const trip = await trips(async (action) =>
    action === "book" ? { kind: "refused", reason: "FULL" } : DONE,
  );
  trip.run();
  await trip.begin("a");
  await trip.untilIn("a", "FAILED");
  expect(trip.entered).toEqual(["a UNDOING FULL", "a FAILED"]);
  expect(await trip.row("a")).toMatchObject({ reason: "FULL" });
});

test("a step without an answer is tried again, later each time, until it has one", async () => {
  const answers = [UNANSWERED, UNANSWERED, DONE];
  const waits: number[] = [];
  const trip = await trips(async (action) => (action === "book" ? (answers.shift() ?? DONE) : DONE));
  // It looks for what is due once in each wait, so that none is over before it is seen.
  const clock = manualClock();
  trip.run(trip.saga, noMetrics, clock);
  await trip.begin("a");
  for (const attempts of [1, 2]) {
    const row = await until(async () => {
      const [found] = await sql<{ wait: number }[]>`
        SELECT extract(epoch FROM next_attempt_at - now())::float8 * 1000 AS wait FROM ${sql(trip.saga.table)}
        WHERE step_attempts = ${attempts} AND next_attempt_at < now() + interval '5 seconds'`;
      return found;
    });
    waits.push(row.wait);
    await trip.dueNow("a");
    await clock.whenSleeping(1);
    clock.advance(500);
  }
  await trip.untilIn("a", "DONE");
  expect(trip.acts).toEqual(["a book", "a book", "a book", "a pay", "a print"]);
  expect(Math.max(...waits)).toBeLessThanOrEqual(2 * 2 * 200 * 1.2);
});

test("a step is tried no later than its state is overdue", async () => {
  const trip = await trips(async () => UNANSWERED);
  await trip.begin("a");
  await sql`
    UPDATE ${sql(trip.saga.table)} SET step_attempts = 20, deadline_at = now() + interval '8 seconds' WHERE trip_id = 'a'`;
  trip.run();
  const [row] = await until(async () => {
    const rows = await sql`
      SELECT next_attempt_at = deadline_at AS bounded FROM ${sql(trip.saga.table)}
      WHERE step_attempts = 21 AND next_attempt_at < now() + interval '10 seconds'`;
    return rows.length > 0 && rows;
  });
  expect(row?.bounded).toBe(true);
});

test("a state whose time is up is left without another try", async () => {
  const trip = await trips();
  await trip.begin("a");
  await sql`UPDATE ${sql(trip.saga.table)} SET deadline_at = now() - interval '1 second' WHERE trip_id = 'a'`;
  trip.run();
  await trip.untilIn("a", "FAILED");
  expect(trip.acts).toEqual(["a unbook"]);
  expect(trip.entered).toEqual(["a UNDOING TIMEOUT", "a FAILED"]);
});

test("of a step with two actions the second waits for the first, and both are done again after a failure", async () => {
  const answers = [UNANSWERED, DONE];
  const trip = await trips(async (action) => (action === "print" ? (answers.shift() ?? DONE) : DONE));
  trip.run();
  await trip.begin("a");
  await trip.untilIn("a", "DONE");
  expect(trip.acts).toEqual(["a book", "a pay", "a print", "a pay", "a print"]);
});

test("a step that cannot be given up is tried again after a refusal", async () => {
  const answers: Outcome[] = [{ kind: "refused", reason: "NO" }, DONE];
  const trip = await trips(async (action) => (action === "pay" ? (answers.shift() ?? DONE) : DONE));
  trip.run();
  await trip.begin("a");
  await trip.untilIn("a", "DONE");
  expect(trip.acts).toEqual(["a book", "a pay", "a pay", "a print"]);
  expect(await trip.row("a")).toMatchObject({ reason: null });
});

test("a saga is cancelled where its rules allow it, and nowhere else", async () => {
  const trip = await trips();
  await trip.begin("a");
  expect(await trip.cancel("a")).toBe(true);
  expect(await trip.cancel("a")).toBe(false);
  expect(await trip.cancel("unknown")).toBe(false);
  trip.run();
  await trip.untilIn("a", "FAILED");
  expect(await trip.cancel("a")).toBe(false);
  expect(trip.entered).toEqual(["a UNDOING CALLED_OFF", "a FAILED"]);
});

test("the outcome of a step that a cancel overtook changes nothing", async () => {
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const trip = await trips(async (action) => {
    if (action === "book") {
      begun.resolve();
      await goOn.promise;
    }
    return DONE;
  });
  const runner = trip.run();
  await trip.begin("a");
  await begun.promise;
  await trip.cancel("a");
  await trip.untilIn("a", "FAILED");
  goOn.resolve();
  await runner.stop();
  expect(trip.entered).toEqual(["a UNDOING CALLED_OFF", "a FAILED"]);
  expect(await trip.row("a")).toMatchObject({ state: "FAILED", version: 3 });
});

test("a saga whose runner is gone is taken by another when the lease runs out, and not before", async () => {
  const begun = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<Outcome>();
  const trip = await trips();
  const crashed: Saga<State> = {
    ...trip.saga,
    act() {
      begun.resolve();
      return lost.promise;
    },
  };
  const first = trip.run(crashed);
  await trip.begin("a");
  await begun.promise;
  // It takes nothing any more, and its step hangs: as good as dead.
  const stopped = first.stop();
  trip.run();
  await trip.begin("b");
  await trip.untilIn("b", "DONE");
  expect(await trip.row("a")).toMatchObject({ state: "BEGUN", leased: true });
  await trip.dueNow("a");
  await trip.untilIn("a", "DONE");
  // The first comes back from the dead, and its answer is of no interest.
  lost.resolve({ kind: "refused", reason: "FULL" });
  await stopped;
  expect(await trip.row("a")).toMatchObject({ state: "DONE", reason: null });
  expect(trip.entered.filter((line) => line.startsWith("a"))).toEqual(["a BOOKED", "a DONE"]);
});

test("a step that throws keeps neither its saga nor the others from going on", async () => {
  let throws = true;
  const trip = await trips(async (_action, id) => {
    if (id === "a" && throws) throw new Error("a fault of ours");
    return DONE;
  });
  trip.run();
  await trip.begin("a");
  await trip.begin("b");
  await trip.untilIn("b", "DONE");
  expect(await trip.row("a")).toMatchObject({ state: "BEGUN" });
  throws = false;
  await trip.dueNow("a");
  await trip.untilIn("a", "DONE");
});

test("a state is entered together with what that changes, or not at all", async () => {
  const trip = await trips();
  let fails = true;
  const saga: Saga<State> = {
    ...trip.saga,
    async entered(tx, id, state, reason) {
      await trip.saga.entered(tx, id, state, reason);
      if (state === "DONE" && fails) throw new Error("cannot announce it");
    },
  };
  trip.run(saga);
  await trip.begin("a");
  await until(() => trip.acts.includes("a print"));
  await until(async () => (await trip.row("a"))?.state === "BOOKED");
  expect(trip.entered).toEqual(["a BOOKED"]);
  fails = false;
  await trip.dueNow("a");
  await trip.untilIn("a", "DONE");
  expect(trip.entered).toEqual(["a BOOKED", "a DONE"]);
});

test("stopping finishes the step that runs and gives the saga back at once", async () => {
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const trip = await trips(async (action) => {
    if (action === "book") {
      begun.resolve();
      await goOn.promise;
    }
    return DONE;
  });
  const runner = trip.run();
  await trip.begin("a");
  await begun.promise;
  const stopped = runner.stop();
  goOn.resolve();
  await stopped;
  expect(trip.acts).toEqual(["a book"]);
  expect(await trip.row("a")).toMatchObject({ state: "BOOKED", due: true });
  await runner.stop();
});

test("many sagas end once each with two runners, however many there are at a time", async () => {
  const trip = await trips();
  const ids = Array.from({ length: 80 }, (_, i) => `trip-${i}`);
  await transaction(sql, async (tx) => {
    for (const id of ids) await beginSaga(tx, trip.saga, id, "BEGUN");
  });
  trip.run();
  trip.run();
  await until(() => trip.entered.length === ids.length * 2);
  expect(trip.entered.filter((line) => line.endsWith("DONE")).sort()).toEqual(
    ids.map((id) => `${id} DONE`).sort(),
  );
  expect(trip.acts).toHaveLength(ids.length * 3);
});

test("a step runs in the trace of the call that began its saga", async () => {
  const works: (string | undefined)[] = [];
  const trip = await trips(async () => {
    works.push(currentWork()?.trace.traceId, currentWork()?.trace.spanId, currentWork()?.requestId);
    return DONE;
  });
  const trace = childOf(undefined);
  await runWork({ trace, requestId: "request-1", deadlineMs: Number.POSITIVE_INFINITY }, () =>
    trip.begin("a"),
  );
  trip.run();
  await trip.untilIn("a", "DONE");
  expect(new Set(works)).toEqual(new Set([trace.traceId, trace.spanId, "request-1"]));
});

test("what happens without a rule for it moves nothing", () => {
  expect(nextMove(rules.BOOKED, null, { kind: "refused", reason: "NO" })).toBeUndefined();
  expect(nextMove(rules.BOOKED, null, { kind: "overdue" })).toBeUndefined();
  expect(nextMove(rules.BOOKED, null, { kind: "cancel", reason: "NO" })).toBeUndefined();
  for (const state of ["DONE", "FAILED"] as const) {
    expect(nextMove(rules[state], null, { kind: "done" })).toBeUndefined();
  }
});

import type { Carried } from "../core/carried.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import type { Log } from "../core/log.ts";
import { FINISH_WITHIN_MS, type Running } from "../core/process.ts";
import { childOf, formatTraceparent, parseTraceparent } from "../core/trace.ts";
import { currentWork, runWork } from "../core/work.ts";
import type { Sql } from "../store/connect.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { Changes } from "../store/watch.ts";
import { type Meter, noMetrics } from "../telemetry/metrics.ts";

/** What came of a step. */
export type Outcome =
  | { readonly kind: "done" }
  /** A participant said no, for this reason: trying again changes nothing. */
  | { readonly kind: "refused"; readonly reason: string }
  /** Nobody knows whether it took effect. */
  | { readonly kind: "unanswered"; readonly error: unknown };

/** What can happen to a saga in a state: an outcome, the end of the state's time, or a wish to cancel. */
export type Happening =
  | { readonly kind: "done" }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "overdue" }
  | { readonly kind: "cancel"; readonly reason: string };

/** Where a saga goes, and with which reason from then on. */
export interface Move<S extends string> {
  readonly to: S;
  readonly reason?: string;
}

/** What a saga does in one state. The table of all states is total: every happening has an answer. */
export interface Rule<S extends string> {
  /** The names of the step's actions, in their order. None: the state is final. */
  readonly does?: readonly string[];
  /** Its step undoes what those before it did: what comes through it is counted as compensated. */
  readonly compensates?: true;
  /** How long the state may last before it is overdue. Milliseconds. Without it the step is tried for ever. */
  readonly withinMs?: number;
  /** The step took effect. */
  readonly done?: (reason: string | undefined) => Move<S>;
  /** A participant said no. Without it the step is tried again: it must succeed in the end. */
  readonly refused?: (reason: string) => Move<S>;
  /** The state's time is up. */
  readonly overdue?: () => Move<S>;
  /** Somebody wants to cancel. Without it the wish is refused. */
  readonly cancel?: (reason: string) => Move<S>;
}

/** A saga: its table of states, and what the states mean. */
export interface Saga<S extends string> {
  /** Its table, with the columns of `order_saga`. */
  readonly table: string;
  /** The column that names what it is about. */
  readonly key: string;
  readonly rules: Readonly<Record<S, Rule<S>>>;
  /** The actions. Each must be safe to repeat, and each undo must hold against an action that comes late. */
  act(action: string, id: string): Promise<Outcome>;
  /** What entering a state changes and announces, in the transaction that enters it. */
  entered(tx: Tx, id: string, state: S, reason: string | undefined): Promise<void>;
}

interface Row<S extends string> {
  readonly id: string;
  readonly state: S;
  readonly version: number;
  readonly reason: string | null;
  readonly overdue: boolean;
  readonly step_attempts: number;
  readonly traceparent: string | null;
  readonly request_id: string | null;
  readonly carried: Carried | null;
}

const LEASE_MS = 15_000;
const POLL_MS = 500;
const IN_FLIGHT = 32;
const RETRY_MS = { first: 200, most: 30_000 };
const ALERT_AFTER_ATTEMPTS = 30;

/** Where the state of a happening leads; undefined if the step is to be tried again, or a cancel is refused. */
export function nextMove<S extends string>(
  rule: Rule<S>,
  reason: string | null,
  what: Happening,
): Move<S> | undefined {
  switch (what.kind) {
    case "done":
      return rule.done?.(reason ?? undefined);
    case "refused":
      return rule.refused?.(what.reason);
    case "overdue":
      return rule.overdue?.();
    case "cancel":
      return rule.cancel?.(what.reason);
  }
}

/** Wakes the runners of this process; a saga that another process began is found by polling. */
const changes = new Changes();

/** Begins a saga in the transaction that makes what it is about. */
export async function beginSaga<S extends string>(
  tx: Tx,
  saga: Saga<S>,
  id: string,
  state: S,
): Promise<void> {
  const { withinMs } = saga.rules[state];
  const work = currentWork();
  await tx`
    INSERT INTO ${tx(saga.table)} (${tx(saga.key)}, state, deadline_at, traceparent, request_id, carried)
    VALUES (${id}, ${state}, ${deadline(tx, withinMs)}, ${work ? formatTraceparent(work.trace) : null},
            ${work?.requestId ?? null}, ${work?.carried ? JSON.stringify(work.carried) : null}::text::jsonb)`;
  tx.afterCommit(() => changes.announce(saga.table));
}

/** Asks to cancel. False if the state it is in does not allow that. */
export async function cancelSaga<S extends string>(
  tx: Tx,
  saga: Saga<S>,
  id: string,
  reason: string,
): Promise<boolean> {
  const [row] = await tx<Row<S>[]>`
    SELECT ${tx(saga.key)} AS id, state, version, reason, step_attempts, traceparent, request_id, carried, false AS overdue
    FROM ${tx(saga.table)} WHERE ${tx(saga.key)} = ${id} FOR UPDATE`;
  const move = row && nextMove(saga.rules[row.state], row.reason, { kind: "cancel", reason });
  if (!row || !move) return false;
  await enter(tx, saga, row, move, 0);
  tx.afterCommit(() => changes.announce(saga.table));
  return true;
}

/** What a runner needs. */
export interface SagaRunnerOptions<S extends string> {
  readonly sql: Sql;
  readonly saga: Saga<S>;
  readonly log: Log;
  /** Counts what was compensated and what timed out. Defaults to nothing. */
  readonly meter?: Meter;
  /** How long steps that have begun may take to end when it stops. Milliseconds. Defaults to 4,000. */
  readonly finishWithinMs?: number;
  readonly clock?: Clock;
}

/**
 * Runs sagas to their end. Every instance has a runner: one takes a saga by a lease, does the step with no transaction
 * open, and records the outcome only if the saga has not moved meanwhile. After a crash the lease runs out, and the
 * step is done again.
 */
export function runSagas<S extends string>(options: SagaRunnerOptions<S>): Running {
  const {
    sql,
    saga,
    log,
    meter = noMetrics,
    clock = systemClock,
    finishWithinMs = FINISH_WITHIN_MS,
  } = options;
  const stopping = new AbortController();
  const inFlight = new Set<Promise<void>>();
  const running = run();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const woken = changes.next([saga.table], POLL_MS, stopping.signal, clock);
      const room = IN_FLIGHT - inFlight.size;
      const rows = room > 0 ? await take(sql, saga, room).catch(warn("cannot look for sagas")) : [];
      for (const row of rows ?? []) {
        const work = advance(row).catch(warn("a saga waits for its next turn"));
        inFlight.add(work);
        work.finally(() => inFlight.delete(work));
      }
      // With more than there was room for, the next turn is as soon as one is done.
      await (rows?.length === room && inFlight.size > 0 ? Promise.race(inFlight) : woken);
    }
    // A step that takes longer is done again when its lease runs out.
    await Promise.race([Promise.all(inFlight), clock.sleep(finishWithinMs)]);
  }

  function warn(text: string) {
    return (err: unknown) => {
      log.warn({ saga: saga.table, err }, text);
      return undefined;
    };
  }

  /** Step after step, until one has to wait. */
  async function advance(taken: Row<S>): Promise<void> {
    let row: Row<S> | undefined = taken;
    while (row && !stopping.signal.aborted) row = await asWorkOf(row, () => step(row as Row<S>));
    if (row) await giveBack(row);
  }

  async function step(row: Row<S>): Promise<Row<S> | undefined> {
    const rule = saga.rules[row.state];
    let happened: Happening | undefined;
    if (row.overdue && rule.overdue) {
      happened = { kind: "overdue" };
    } else {
      const outcome = await runActions(saga, rule, row.id);
      if (outcome.kind === "unanswered") {
        const level = row.step_attempts >= ALERT_AFTER_ATTEMPTS ? "error" : "warn";
        log[level](
          { id: row.id, state: row.state, attempt: row.step_attempts, error: messageOf(outcome.error) },
          "a step had no answer",
        );
      } else happened = outcome;
    }
    const move = happened && nextMove(rule, row.reason, happened);
    if (!move) {
      if (happened)
        log.error({ id: row.id, state: row.state, happened }, "a step that cannot be given up was refused");
      await retryLater(row);
      return undefined;
    }
    const next = await transaction(sql, (tx) => enter(tx, saga, row, move, LEASE_MS));
    if (next) {
      log.info({ id: row.id, from: row.state, to: move.to, reason: move.reason }, "saga moved");
      count(row, happened);
    }
    return next && saga.rules[next.state].does ? next : undefined;
  }

  /** Counts, once it has moved, what made it do so. */
  function count({ state, reason }: Row<S>, happened: Happening | undefined): void {
    if (happened?.kind === "overdue") meter.count("mesh.saga.timeouts", { saga: saga.table, state });
    else if (saga.rules[state].compensates)
      meter.count("mesh.saga.compensations", { saga: saga.table, reason: reason ?? undefined });
  }

  /** Lets another instance have it now rather than when the lease runs out. */
  async function giveBack({ id, version }: Row<S>): Promise<void> {
    await sql`
      UPDATE ${sql(saga.table)} SET next_attempt_at = now() WHERE ${sql(saga.key)} = ${id} AND version = ${version}`;
  }

  async function retryLater({ id, version, step_attempts }: Row<S>): Promise<void> {
    const delayMs =
      Math.min(RETRY_MS.first * 2 ** (step_attempts - 1), RETRY_MS.most) * (0.8 + 0.4 * Math.random());
    await sql`
      UPDATE ${sql(saga.table)}
      SET next_attempt_at = least(now() + ${delayMs} * interval '1 millisecond',
                                  CASE WHEN deadline_at > now() THEN deadline_at END)
      WHERE ${sql(saga.key)} = ${id} AND version = ${version}`;
  }

  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

async function runActions<S extends string>(saga: Saga<S>, rule: Rule<S>, id: string): Promise<Outcome> {
  for (const action of rule.does ?? []) {
    const outcome = await saga.act(action, id);
    if (outcome.kind !== "done") return outcome;
  }
  return { kind: "done" };
}

/** Takes due sagas: until the lease runs out nobody else does. */
function take<S extends string>(sql: Sql, saga: Saga<S>, limit: number): Promise<Row<S>[]> {
  return sql<Row<S>[]>`
    UPDATE ${sql(saga.table)} SET next_attempt_at = ${later(sql, LEASE_MS)}, step_attempts = step_attempts + 1
    WHERE ${sql(saga.key)} IN (
      SELECT ${sql(saga.key)} FROM ${sql(saga.table)} WHERE next_attempt_at <= now()
      ORDER BY next_attempt_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    RETURNING ${columns(sql, saga)}`;
}

/** Moves a saga that is still as it was read. Undefined if it has moved meanwhile: then nothing happens. */
async function enter<S extends string>(
  tx: Tx,
  saga: Saga<S>,
  { id, version }: Row<S>,
  { to, reason }: Move<S>,
  leaseMs: number,
): Promise<Row<S> | undefined> {
  const { does, withinMs } = saga.rules[to];
  const [row] = await tx<Row<S>[]>`
    UPDATE ${tx(saga.table)}
    SET state = ${to}, version = version + 1, reason = coalesce(${reason ?? null}, reason), updated_at = now(),
        deadline_at = ${deadline(tx, withinMs)}, step_attempts = 1,
        next_attempt_at = ${does ? later(tx, leaseMs) : tx`NULL`}
    WHERE ${tx(saga.key)} = ${id} AND version = ${version}
    RETURNING ${columns(tx, saga)}`;
  if (row) await saga.entered(tx, id, to, reason);
  return row;
}

function columns(sql: Sql | Tx, saga: { readonly key: string }) {
  return sql`${sql(saga.key)} AS id, state, version, reason, step_attempts, traceparent, request_id, carried,
             coalesce(deadline_at <= now(), false) AS overdue`;
}

function later(sql: Sql | Tx, delayMs: number) {
  return sql`now() + ${delayMs} * interval '1 millisecond'`;
}

function deadline(sql: Sql | Tx, withinMs: number | undefined) {
  return withinMs === undefined ? sql`NULL` : later(sql, withinMs);
}

/** Runs a step in the trace of the call that began the saga, as a part of that call: a step has no span of its own. */
function asWorkOf<S extends string, T>(
  { traceparent, request_id, carried }: Row<S>,
  fn: () => Promise<T>,
): Promise<T> {
  const trace = parseTraceparent(traceparent) ?? childOf(undefined);
  const requestId = request_id ?? newId();
  const deadlineMs = Number.POSITIVE_INFINITY;
  return runWork({ trace, requestId, deadlineMs, carried: carried ?? undefined }, fn);
}

import { expect, test } from "vitest";
import { OrderError, OrderErrorSchema } from "../../gen/shop/order/v1/order_error_pb.ts";
import { reasonName } from "../../mesh/contract/reasons.ts";
import { type Clock, systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import {
  beginSaga,
  cancelSaga,
  type Happening,
  nextMove,
  type Outcome,
  runSagas,
} from "../../mesh/events/saga.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { Changes } from "../../mesh/store/watch.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { meshDatabase } from "../../mesh/testing/mesh-database.ts";
import { type Random, random } from "../../mesh/testing/random.ts";
import { until } from "../../mesh/testing/until.ts";
import type { Clients } from "./clients.ts";
import type { Order } from "./order.ts";
import { BY_CUSTOMER, orderSaga, rules, type SagaState } from "./saga.ts";
import { insertOrder, readOrder } from "./store.ts";

const STATES = Object.keys(rules) as SagaState[];
const FINAL: readonly SagaState[] = ["CONFIRMED", "REJECTED", "CANCELLED"];
const isFinalState = (state: SagaState) => FINAL.includes(state);

const happenings = {
  done: { kind: "done" },
  outOfStock: { kind: "refused", reason: "OUT_OF_STOCK" },
  declined: { kind: "refused", reason: "PAYMENT_DECLINED" },
  refused: { kind: "refused", reason: "SOMETHING_NEW" },
  overdue: { kind: "overdue" },
  cancel: { kind: "cancel", reason: BY_CUSTOMER },
} as const satisfies Record<string, Happening>;

const stay = undefined;
const compensating = (reason: string) => ({ to: "COMPENSATING", reason });
const nothing = { done: stay, outOfStock: stay, declined: stay, refused: stay, overdue: stay, cancel: stay };

// What each happening does in each state; `stay` is: try the step again, or refuse the cancel.
const table: Record<SagaState, Record<keyof typeof happenings, unknown>> = {
  PLACED: {
    done: { to: "RESERVED" },
    outOfStock: compensating("OUT_OF_STOCK"),
    declined: compensating("PAYMENT_DECLINED"),
    refused: compensating("REFUSED"),
    overdue: compensating("TIMEOUT"),
    cancel: compensating(BY_CUSTOMER),
  },
  RESERVED: {
    done: { to: "AUTHORIZED" },
    outOfStock: compensating("OUT_OF_STOCK"),
    declined: compensating("PAYMENT_DECLINED"),
    refused: compensating("REFUSED"),
    overdue: compensating("TIMEOUT"),
    cancel: compensating(BY_CUSTOMER),
  },
  AUTHORIZED: { ...nothing, done: { to: "CONFIRMED" } },
  COMPENSATING: { ...nothing, done: { to: "REJECTED", reason: "OUT_OF_STOCK" } },
  CONFIRMED: nothing,
  REJECTED: nothing,
  CANCELLED: nothing,
};

test.each(STATES)("in %s every happening has its answer", (state) => {
  for (const [name, happening] of Object.entries(happenings)) {
    const expected = table[state][name as keyof typeof happenings];
    expect([name, nextMove(rules[state], "OUT_OF_STOCK", happening)]).toEqual([name, expected]);
  }
});

test("what is undone because the customer said so is cancelled, and anything else rejected", () => {
  const { COMPENSATING } = rules;
  expect(nextMove(COMPENSATING, BY_CUSTOMER, happenings.done)).toEqual({ to: "CANCELLED" });
  expect(nextMove(COMPENSATING, "REFUSED", happenings.done)).toEqual({ to: "REJECTED", reason: "REFUSED" });
});

test("only final states do nothing, and what has a way on has no way back", () => {
  expect(STATES.filter((state) => !rules[state].does)).toEqual(FINAL);
  // Tried for ever: they have to succeed in the end.
  expect(STATES.filter((state) => rules[state].does && !rules[state].withinMs)).toEqual([
    "AUTHORIZED",
    "COMPENSATING",
  ]);
});

test("every reason of a rejection is one of the contract", () => {
  const known = OrderErrorSchema.values.slice(1).map(({ number }) => reasonName(OrderErrorSchema, number));
  for (const state of ["PLACED", "RESERVED"] as const) {
    for (const happening of [
      happenings.outOfStock,
      happenings.declined,
      happenings.refused,
      happenings.overdue,
    ]) {
      expect(known).toContain(nextMove(rules[state], null, happening)?.reason);
    }
  }
  expect(known).toContain(reasonName(OrderErrorSchema, OrderError.TIMEOUT));
});

/** Stock and payment as the real ones behave, tombstones and all, for orders of one piece of one product. */
function participants(stock: number, isDeclined: (orderId: string) => boolean) {
  const reservations = new Map<string, "RESERVED" | "COMMITTED" | "RELEASED">();
  const payments = new Map<string, "AUTHORIZED" | "DECLINED" | "CAPTURED" | "VOIDED">();
  let available = stock;
  const done: Outcome = { kind: "done" };
  const refused = (reason: string): Outcome => ({ kind: "refused", reason });

  const actions: Record<string, (orderId: string) => Outcome> = {
    reserveStock(orderId) {
      const held = reservations.get(orderId);
      if (held) return held === "RELEASED" ? refused("RESERVATION_RELEASED") : done;
      if (available === 0) return refused("OUT_OF_STOCK");
      available--;
      reservations.set(orderId, "RESERVED");
      return done;
    },
    commitStock(orderId) {
      const held = reservations.get(orderId);
      if (!held) return refused("RESERVATION_NOT_FOUND");
      if (held === "RELEASED") return refused("RESERVATION_RELEASED");
      reservations.set(orderId, "COMMITTED");
      return done;
    },
    releaseStock(orderId) {
      const held = reservations.get(orderId);
      if (held === "COMMITTED") return refused("RESERVATION_COMMITTED");
      if (held === "RESERVED") available++;
      reservations.set(orderId, "RELEASED");
      return done;
    },
    authorizePayment(orderId) {
      const payment = payments.get(orderId);
      if (payment === "VOIDED") return refused("PAYMENT_VOIDED");
      if (payment === "DECLINED" || (!payment && isDeclined(orderId))) {
        payments.set(orderId, "DECLINED");
        return refused("PAYMENT_DECLINED");
      }
      if (!payment) payments.set(orderId, "AUTHORIZED");
      return done;
    },
    capturePayment(orderId) {
      const payment = payments.get(orderId);
      if (!payment) return refused("PAYMENT_NOT_FOUND");
      if (payment === "VOIDED" || payment === "DECLINED") return refused("PAYMENT_VOIDED");
      payments.set(orderId, "CAPTURED");
      return done;
    },
    voidPayment(orderId) {
      if (payments.get(orderId) === "CAPTURED") return refused("PAYMENT_CAPTURED");
      payments.set(orderId, "VOIDED");
      return done;
    },
  };

  return {
    deliver: (action: string, orderId: string): Outcome =>
      (actions[action] as (orderId: string) => Outcome)(orderId),
    /** What is wrong, now that these orders are final; empty if nothing is. */
    faults(orders: readonly { orderId: string; state: SagaState }[]): string[] {
      const faults: string[] = [];
      const count = (state: string) => [...reservations.values()].filter((held) => held === state).length;
      if (available + count("RESERVED") + count("COMMITTED") !== stock) faults.push("stock was lost or made");
      for (const { orderId, state } of orders) {
        const [held, payment] = [reservations.get(orderId), payments.get(orderId)];
        const isConfirmed = state === "CONFIRMED";
        if (!isFinalState(state)) faults.push(`${orderId} is still ${state}`);
        if (held === "RESERVED") faults.push(`${orderId} is ${state} and its reservation open`);
        if (payment === "AUTHORIZED") faults.push(`${orderId} is ${state} and its authorisation open`);
        if ((payment === "CAPTURED") !== isConfirmed)
          faults.push(`${orderId} is ${state} and its payment ${payment}`);
        if ((held === "COMMITTED") !== isConfirmed)
          faults.push(`${orderId} is ${state} and its stock ${held}`);
      }
      return faults;
    },
  };
}

/** A request as it goes through a network at its worst: `now` and `later` say when it arrives, if at all. */
interface Passage {
  readonly now: boolean;
  readonly later: boolean;
  readonly isAnswered: boolean;
}

function passage(chances: Random): Passage {
  const at = chances.next();
  if (at < 0.6) return { now: true, later: false, isAnswered: true };
  if (at < 0.74) return { now: true, later: false, isAnswered: false };
  if (at < 0.84) return { now: false, later: false, isAnswered: false };
  if (at < 0.94) return { now: false, later: true, isAnswered: false };
  return { now: true, later: true, isAnswered: true };
}

interface Simulated {
  readonly orderId: string;
  state: SagaState;
  version: number;
  reason: string | null;
  wasCancelled: boolean;
}

/** One who does the step of a saga, and may be the only one or not, alive or not. */
interface Runner {
  readonly saga: Simulated;
  readonly state: SagaState;
  readonly version: number;
  at: number;
}

/** Plays one history of three orders for two pieces, by the rules alone. Returns what is wrong at its end. */
function play(seed: number): string[] {
  const chances = random(seed);
  const declined = new Set(["o1", "o2", "o3"].filter(() => chances.chance(0.2)));
  const { deliver, faults } = participants(2, (orderId) => declined.has(orderId));
  const sagas = ["o1", "o2", "o3"].map(
    (orderId): Simulated => ({ orderId, state: "PLACED", version: 1, reason: null, wasCancelled: false }),
  );
  let runners: Runner[] = [];
  const late: [action: string, orderId: string][] = [];

  function happen(saga: Simulated, happening: Happening): boolean {
    const move = nextMove(rules[saga.state], saga.reason, happening);
    if (!move) return false;
    saga.state = move.to;
    saga.version++;
    saga.reason = move.reason ?? saga.reason;
    return true;
  }

  /** Does one action; a runner ends with its step, or with an action that is not answered. */
  function step(runner: Runner, how: Passage): void {
    const { saga } = runner;
    const does = rules[runner.state].does ?? [];
    const action = does[runner.at] as string;
    const outcome = how.now ? deliver(action, saga.orderId) : undefined;
    if (how.later) late.push([action, saga.orderId]);
    const isUnanswered = !outcome || !how.isAnswered;
    runner.at++;
    if (!isUnanswered && outcome.kind === "done" && runner.at < does.length) return;
    runners = runners.filter((each) => each !== runner);
    if (isUnanswered || outcome.kind === "unanswered" || runner.version !== saga.version) return;
    happen(saga, outcome);
  }

  const take = (saga: Simulated) => {
    if (!isFinalState(saga.state)) runners.push({ saga, state: saga.state, version: saga.version, at: 0 });
  };
  for (let turn = 0; turn < 150; turn++) {
    const saga = chances.pick(sagas);
    const at = chances.next();
    if (at < 0.3) take(saga);
    else if (at < 0.8 && runners.length > 0) step(chances.pick(runners), passage(chances));
    else if (at < 0.84) runners = runners.filter(() => chances.chance(0.5));
    else if (at < 0.87) saga.wasCancelled = happen(saga, happenings.cancel) || saga.wasCancelled;
    else if (at < 0.89 && rules[saga.state].withinMs) happen(saga, happenings.overdue);
    else if (late.length > 0) deliver(...(late.splice(chances.below(late.length), 1)[0] as [string, string]));
  }
  // Now the network is well, and all that was on its way arrives, before or after the sagas end.
  const smooth: Passage = { now: true, later: false, isAnswered: true };
  for (let turn = 0; turn < 100; turn++) {
    for (const saga of sagas) take(saga);
    for (const runner of chances.shuffled(runners)) step(runner, smooth);
    if (late.length > 0 && chances.chance(0.5)) deliver(...(late.shift() as [string, string]));
  }
  for (const [action, orderId] of late) deliver(action, orderId);

  const wrong = faults(sagas);
  for (const { orderId, state, reason, wasCancelled } of sagas) {
    if ((state === "CANCELLED") !== wasCancelled)
      wrong.push(`${orderId} is ${state}, cancelled: ${wasCancelled}`);
    if (state === "REJECTED" && !reason) wrong.push(`${orderId} is rejected for no reason`);
  }
  return wrong;
}

test("whatever is lost, late, doubled, cancelled or crashes, orders end, and nothing is left open", () => {
  const ends: string[] = [];
  for (let seed = 1; seed <= 3_000; seed++) ends.push(...play(seed).map((fault) => `seed ${seed}: ${fault}`));
  expect(ends.slice(0, 5)).toEqual([]);
});

// Looks for sagas that are due all the time, so that a test need not wait for the next poll.
const eager: Clock = {
  ...systemClock,
  sleep: (delayMs, signal) => systemClock.sleep(Math.min(delayMs, 5), signal),
};

test("the same holds for orders in a database, with two runners and time flying", async () => {
  const { sql } = await meshDatabase();
  await migrate(sql, [{ set: "order", folder: new URL("migrations/", import.meta.url) }], silentLog);
  const chances = random(42);
  const orderIds = Array.from({ length: 40 }, (_, i) => `order-${i}`);
  const declined = new Set(orderIds.filter(() => chances.chance(0.15)));
  const { deliver, faults } = participants(25, (orderId) => declined.has(orderId));
  const late: [action: string, orderId: string][] = [];
  let isSmooth = false;

  async function send(action: string, orderId: string): Promise<Outcome> {
    const how = isSmooth ? { now: true, later: false, isAnswered: true } : passage(chances);
    for (let turn = chances.below(3); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
    const outcome = how.now ? deliver(action, orderId) : undefined;
    if (how.later) late.push([action, orderId]);
    return outcome && how.isAnswered ? outcome : { kind: "unanswered", error: new Error("timeout") };
  }
  const byOrder = (action: string) => (order: Order) => send(action, order.orderId);
  const byId = (action: string) => (orderId: string) => send(action, orderId);
  const clients = {
    reserveStock: byOrder("reserveStock"),
    authorizePayment: byOrder("authorizePayment"),
    commitStock: byId("commitStock"),
    capturePayment: byId("capturePayment"),
    voidPayment: byId("voidPayment"),
    releaseStock: byId("releaseStock"),
  } as unknown as Clients;
  const saga = orderSaga(clients, (orderId) => readOrder(sql, orderId), new Changes());

  for (const orderId of orderIds) {
    await transaction(sql, async (tx) => {
      const lines = [{ productId: "cup", quantity: 1, unitPriceCents: 100 }];
      await insertOrder(tx, { orderId, customerId: "ada", lines, paymentToken: "tok_ok" });
      await beginSaga(tx, saga, orderId, "PLACED");
    });
  }
  const runners = [1, 2].map(() => runSagas({ sql, saga, log: silentLog, clock: eager }));
  for (const runner of runners) atEnd(() => runner.stop());

  const sagas = () =>
    sql<
      { orderId: string; state: SagaState }[]
    >`SELECT order_id AS "orderId", state FROM order_saga ORDER BY order_id`;
  for (let turn = 0; turn < 60; turn++) {
    const orderId = chances.pick(orderIds);
    // Time flies: whoever waits need not, leases run out under their holders, and some states are overdue.
    await sql`UPDATE order_saga SET next_attempt_at = now() WHERE next_attempt_at > now()`;
    if (chances.chance(0.2))
      await sql`UPDATE order_saga SET deadline_at = now() WHERE order_id = ${orderId} AND deadline_at > now()`;
    if (chances.chance(0.2)) await transaction(sql, (tx) => cancelSaga(tx, saga, orderId, BY_CUSTOMER));
    if (late.length > 0) deliver(...(late.splice(chances.below(late.length), 1)[0] as [string, string]));
  }
  isSmooth = true;
  const ended = await until(async () => {
    await sql`UPDATE order_saga SET next_attempt_at = now() WHERE next_attempt_at > now()`;
    const all = await sagas();
    return all.every(({ state }) => isFinalState(state)) && all;
  });
  for (const runner of runners) await runner.stop();
  for (const [action, orderId] of late) deliver(action, orderId);
  expect(faults(ended)).toEqual([]);

  // Each order shows its end, has forgotten the token, and announced the end once.
  for (const { orderId, state } of ended) {
    expect(await readOrder(sql, orderId)).toMatchObject({ state, paymentToken: null });
    const events = await sql`SELECT type FROM outbox WHERE key = ${orderId}`;
    expect(events.map(({ type }) => type.toUpperCase())).toEqual([`SHOP.ORDER.V1.ORDER${state}`]);
  }
});

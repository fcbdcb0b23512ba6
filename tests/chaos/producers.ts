import { systemClock } from "../../mesh/core/clock.ts";
import { isUnavailable } from "../../mesh/core/errors.ts";
import { publish } from "../../mesh/events/publish.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { contract, EVENTS_PER_ORDER } from "./contract.ts";
import { recordProduced } from "./oracle.ts";

/** What is produced. */
export interface Production {
  readonly orders: number;
  /** The number of the first one. Defaults to 0. */
  readonly first?: number;
  readonly ordersPerSecond: number;
  /** Goes on with more orders for as long as this is true. */
  readonly goesOn?: () => boolean;
  /** What the handler is to make of an event. Defaults to nothing special. */
  readonly textOf?: (order: number, seq: number) => string;
  /** Which of an order's events are made. Defaults to all. */
  readonly seqsOf?: (order: number) => readonly number[];
}

/** How many orders are made side by side. */
export const TASKS = 24;
const RETRY_MS = 50;
const ALL_SEQS = Array.from({ length: EVENTS_PER_ORDER }, (_, i) => i + 1);

/**
 * Makes orders, each with its events one after the other, as services do that are called while parts of them fail.
 * Resolves with how many it made.
 */
export async function produce(sql: Sql, production: Production): Promise<number> {
  const { orders, first = 0, ordersPerSecond, goesOn = () => false } = production;
  const { textOf = () => "", seqsOf = () => ALL_SEQS } = production;
  const begunAtMs = systemClock.now();
  let begun = 0;
  async function work(): Promise<void> {
    while (begun < orders || goesOn()) {
      const order = begun++;
      const dueInMs = begunAtMs + (order * 1_000) / ordersPerSecond - systemClock.now();
      if (dueInMs > 0) await systemClock.sleep(dueInMs);
      for (const seq of seqsOf(first + order))
        await emit(sql, first + order, seq, textOf(first + order, seq));
    }
  }
  await Promise.all(Array.from({ length: TASKS }, work));
  return begun;
}

/** As often as it takes: whether a transaction has committed whose answer is lost, the next attempt finds out. */
async function emit(sql: Sql, order: number, seq: number, text: string): Promise<void> {
  const key = `order-${order}`;
  for (;;) {
    try {
      return await transaction(sql, async (tx) => {
        if (await recordProduced(tx, key, seq, text))
          await publish(tx, contract.Moved, { toyId: key, n: seq, text });
      });
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      await systemClock.sleep(RETRY_MS);
    }
  }
}

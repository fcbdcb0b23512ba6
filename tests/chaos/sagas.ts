import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../mesh/core/clock.ts";
import { connect, type Sql } from "../../mesh/store/connect.ts";
import { random } from "../../mesh/testing/random.ts";
import { startSystem } from "../../services/run.ts";
import type { Figures } from "../scenarios/scenario.ts";
import { clientsOf } from "../shop.ts";
import { startKiller } from "./killer.ts";
import { serverPart } from "./parts.ts";
import { TASKS } from "./producers.ts";
import { sayProgress } from "./say-progress.ts";
import { openBroker, type Stage } from "./stage.ts";

const PRODUCT = "prod-chaos";
const STOCK = 1_000_000;
const RETRY_MS = 50;
const POLL_MS = 200;
const TERMINAL_WITHIN_MS = 90_000;
// Orders come in as fast as a shop that is being killed can end them: the others would only see their time run out.
const MAX_OPEN = 200;

/** Has the whole shop sell while every part of it is killed, and compares what orders, stock and payments say in the end. */
export async function sellWhileKilling(stage: Stage): Promise<Figures> {
  const { profile, seed, postgres } = stage;
  await using undo = new AsyncDisposableStack();
  const broker = await openBroker(stage);
  undo.defer(() => broker.close());
  const dataDir = await mkdtemp(join(stage.dir, "shop-"));
  const system = await startSystem({
    ports: "free",
    dataDir,
    databaseUrl: postgres.url,
    databasePrefix: "saga_",
    natsUrl: broker.server.url,
    env: { LOG_LEVEL: "error" },
  });
  undo.defer(async () => {
    await system.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const shop = clientsOf(system);
  undo.defer(async () => shop.close());
  const open = (service: "order" | "product" | "payment") => {
    const sql = connect({ url: system.databaseUrls[service], name: "chaos-saga", maxConnections: 2 });
    undo.defer(() => sql.end({ timeout: 1 }));
    return sql;
  };
  const [orders, products, payments] = [open("order"), open("product"), open("payment")];

  const price = { currencyCode: "EUR", units: 1n, nanos: 0 };
  await shop.products.createProduct({
    product: { productId: PRODUCT, name: PRODUCT, price, availableStock: STOCK },
  });

  let begun = 0;
  /** The orders that nobody says are paid. */
  const silent: string[] = [];
  async function place(): Promise<void> {
    while (begun < profile.orders || killer.kills < profile.kills) {
      while (!((await openSagas(orders)) < MAX_OPEN)) await systemClock.sleep(POLL_MS);
      const n = begun++;
      const drawn = random(seed + n).next();
      const request = {
        customerId: "cust-ada",
        requestId: `chaos-${n}`,
        lines: [{ productId: drawn < 0.05 ? "prod-gone" : PRODUCT, quantity: 1 }],
        paymentToken: drawn > 0.95 ? "tok_declined" : drawn > 0.93 ? "tok_silent" : "tok_ok",
      };
      const ordered = () => shop.orders.placeOrder(request).catch(() => undefined);
      // The same request id: whatever became of an attempt, it is ordered once.
      let answer = await ordered();
      for (; !answer; answer = await ordered()) await systemClock.sleep(RETRY_MS);
      if (request.paymentToken === "tok_silent") silent.push(answer.order?.orderId ?? "");
    }
  }
  const instances = system.instances.map((each) => ({
    // Until it serves again, as a server's: if a process were killed each time before it is up, nobody would sell.
    async kill() {
      const { pid } = each;
      system.kill(each.instance, "SIGKILL");
      while (each.pid === undefined || each.pid === pid) await systemClock.sleep(RETRY_MS);
      await system.resume(each.instance);
    },
  }));
  const killer = startKiller({
    parts: [...instances, broker.part, serverPart("PostgreSQL", postgres)],
    random: random(seed),
    everyMs: profile.killEveryMs,
  });
  const progress = sayProgress({
    what: "orders",
    of: profile.orders,
    done: () => begun,
    besides: () => `${killer.kills} kills`,
    say: stage.say,
  });
  try {
    await Promise.all(Array.from({ length: TASKS }, place));
  } finally {
    await progress.stop();
    await killer.stop();
  }
  const terminalAfterS = await untilTerminal(orders);
  return {
    orders: begun,
    ...(await compare(orders, products, payments)),
    "given up when time was up": await timedOut(orders),
    "silent but not given up": silent.length - (await timedOut(orders, silent)),
    kills: killer.kills,
    "all terminal after s": terminalAfterS,
  };
}

async function untilTerminal(orders: Sql): Promise<number> {
  const begunAtMs = systemClock.now();
  for (;;) {
    const open = await openSagas(orders);
    const tookMs = systemClock.now() - begunAtMs;
    if (open === 0) return tookMs / 1_000;
    if (tookMs > TERMINAL_WITHIN_MS) return Number.POSITIVE_INFINITY;
    await systemClock.sleep(POLL_MS);
  }
}

/** How many orders were rejected because their time was up, of all or of these. */
async function timedOut(orders: Sql, among?: readonly string[]): Promise<number> {
  const [found] = await orders<{ count: number }[]>`
    SELECT count(*)::int AS count FROM orders
    WHERE state = 'REJECTED' AND rejection_reason = 'TIMEOUT'
      AND (${among === undefined} OR order_id = ANY (${[...(among ?? [])]}))`;
  return found?.count ?? Number.NaN;
}

/** How many are not at their end; NaN while the database is away. */
async function openSagas(orders: Sql): Promise<number> {
  const [found] = await orders<{ count: number }[]>`
    SELECT count(*)::int AS count FROM order_saga WHERE next_attempt_at IS NOT NULL`.catch(() => []);
  return found?.count ?? Number.NaN;
}

/** What does not fit together. */
async function compare(orders: Sql, products: Sql, payments: Sql): Promise<Figures> {
  const ids = (rows: readonly { readonly order_id: string }[]) => rows.map(({ order_id }) => order_id);
  const placed = await orders<{ order_id: string; state: string }[]>`SELECT order_id, state FROM orders`;
  const confirmed = new Set(ids(placed.filter(({ state }) => state === "CONFIRMED")));
  const captured = new Set(
    ids(await payments<{ order_id: string }[]>`SELECT order_id FROM payment WHERE state = 'CAPTURED'`),
  );
  const committed = new Set(
    ids(await products<{ order_id: string }[]>`SELECT order_id FROM reservation WHERE state = 'COMMITTED'`),
  );
  const announced = await orders<{ key: string }[]>`
    SELECT key FROM outbox WHERE type = 'shop.order.v1.OrderConfirmed'`;
  const [stock] = await products<{ missing: number }[]>`
    SELECT ${STOCK}::int - available_stock - (
      SELECT coalesce(sum(l.quantity), 0)::int FROM reservation_line l JOIN reservation r USING (order_id)
      WHERE l.product_id = ${PRODUCT} AND r.state <> 'RELEASED') AS missing
    FROM product WHERE product_id = ${PRODUCT}`;
  const [held] = await products<{ count: number }[]>`
    SELECT count(*) AS count FROM reservation WHERE state = 'RESERVED'`;
  const [open] = await payments<{ count: number }[]>`
    SELECT count(*) AS count FROM payment WHERE state IN ('AUTHORIZING', 'AUTHORIZED')`;
  return {
    confirmed: confirmed.size,
    "not terminal": placed.filter(({ state }) => state === "PENDING").length,
    "captured but not confirmed, or the other way round": confirmed.symmetricDifference(captured).size,
    "committed but not confirmed, or the other way round": confirmed.symmetricDifference(committed).size,
    "announced not exactly once":
      announced.length === confirmed.size
        ? confirmed.symmetricDifference(new Set(announced.map(({ key }) => key))).size
        : Math.abs(announced.length - confirmed.size),
    "pieces lost": stock?.missing ?? Number.NaN,
    "left reserved": held?.count ?? Number.NaN,
    "left authorized": open?.count ?? Number.NaN,
  };
}

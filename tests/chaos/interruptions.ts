import { systemClock } from "../../mesh/core/clock.ts";
import type { Figures } from "../scenarios/scenario.ts";
import { contract } from "./contract.ts";
import { openSystem, type Stage, type System } from "./stage.ts";

const POLL_MS = 50;
const ROLLING_RESTARTS = 10;
/** So long that nothing but a fault is delivered again because of it. Milliseconds. */
export const LONG_ACK_WAIT_MS = 30_000;

/** Restarts the consumers in order, one after the other, again and again, while as many events come as one of them can handle. */
export async function restartInTurn({ profile }: Stage, system: System): Promise<void> {
  let isOver = false;
  const producing = system.produce({
    orders: 0,
    ordersPerSecond: profile.ordersPerSecond / 4,
    goesOn: () => !isOver,
  });
  for (let turn = 0; turn < ROLLING_RESTARTS; turn++) {
    const consumer = system.consumers[turn % system.consumers.length];
    await handledMore(system, 50);
    await consumer?.restart();
  }
  isOver = true;
  await producing;
}

/** Takes the database away for a while. */
export async function loseDatabase(stage: Stage): Promise<Figures> {
  const { outageMs } = stage.profile;
  await using system = await openSystem(stage);
  const producing = system.produce();
  await handledMore(system, stage.profile.orders);
  await system.postgres.halt();
  const before = await system.deliveries();
  await systemClock.sleep(outageMs);
  const perSecond = ((await system.deliveries()) - before) / (outageMs / 1_000);
  await system.postgres.start();
  const backAtMs = systemClock.now();
  await handledMore(system, 1);
  const firstAfterS = (systemClock.now() - backAtMs) / 1_000;
  await producing;
  const quietAfterS = await system.untilQuiet();
  const [failed] = await system.sql<{ attempts: number }[]>`
    SELECT coalesce(sum(attempts), 0)::int AS attempts FROM inbox_failure`;
  return {
    ...(await system.verdict()),
    "deliveries a second while it is away": perSecond,
    "attempts counted": failed?.attempts ?? Number.NaN,
    "handles again after s": firstAfterS,
    "quiet after s": quietAfterS,
  };
}

/** Stops the broker, and then a consumer for longer than the broker waits for its answers, and lets them go on. */
export async function freeze(stage: Stage, { broker, consumers, ...system }: System): Promise<void> {
  const { pauseMs } = stage.profile;
  const all = { broker, consumers, ...system };
  let isOver = false;
  const producing = system.produce({ goesOn: () => !isOver });
  for (const part of [broker, ...consumers]) {
    await handledMore(all, 50);
    part.signal("SIGSTOP");
    await systemClock.sleep(pauseMs);
    part.signal("SIGCONT");
  }
  isOver = true;
  await producing;
}

/** Has a consumer come when half of what was published has left the stream. */
export async function comeLate({ consumers, ...system }: System): Promise<void> {
  await Promise.all(consumers.map((consumer) => consumer.halt()));
  const manager = await system.manager();
  await manager.consumers.delete(contract.stream, contract.consumer);
  await system.produce();
  await system.untilPublished();
  const { state } = await manager.streams.info(contract.stream);
  const first = Math.floor((state.first_seq + state.last_seq) / 2);
  await manager.streams.purge(contract.stream, { seq: first });
  // What has left is not expected.
  await system.sql`
    DELETE FROM produced p USING outbox o
    WHERE o.key = p.key AND o.key_seq = p.seq AND o.stream = ${contract.stream} AND o.stream_seq < ${first}`;
  await Promise.all(consumers.map((consumer) => consumer.start()));
  // Keys that it begins in their middle go on.
  await system.produce({ orders: 10 });
}

/** Resolves when so many more events have been handled. */
async function handledMore({ sql }: System, count: number): Promise<void> {
  const effects = async () => {
    const [row] = await sql<{ count: number }[]>`SELECT count(*) AS count FROM effect`.catch(() => []);
    return row?.count;
  };
  let before: number | undefined;
  for (;;) {
    const now = await effects();
    before ??= now;
    if (now !== undefined && before !== undefined && now >= before + count) return;
    await systemClock.sleep(POLL_MS);
  }
}

import { systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import type { Figures } from "../scenarios/scenario.ts";
import { Answers } from "./answers.ts";
import { contract } from "./contract.ts";
import { openSystem, type Stage, type System } from "./stage.ts";

const POLL_MS = 50;
const ROLLING_RESTARTS = 10;
// So long that nothing but a fault is delivered again because of it.
const LONG_ACK_WAIT_MS = 30_000;

/** Restarts the consumers in order, one after the other, again and again, while as many events come as one of them can handle. */
export async function restartInTurn(stage: Stage): Promise<Figures> {
  const { profile } = stage;
  await using system = await openSystem(stage, { ackWaitMs: LONG_ACK_WAIT_MS });
  await using answers = await followAnswers(system, LONG_ACK_WAIT_MS);
  let isOver = false;
  const producing = system.produce({
    orders: 0,
    ordersPerSecond: profile.ordersPerSecond / 4,
    goesOn: () => !isOver,
  });
  await handledMore(system, 50);
  const begunAt = systemClock.date();
  for (let turn = 0; turn < ROLLING_RESTARTS; turn++) {
    const consumer = system.consumers[turn % system.consumers.length];
    await handledMore(system, 50);
    await consumer?.restart();
  }
  isOver = true;
  await producing;
  const quietAfterS = await system.untilQuiet();
  return {
    ...(await system.verdict()),
    "given back": answers.givenBack,
    "taken back by the broker": answers.takenBack,
    "waited for in vain": answers.missed,
    "longest gap s": await longestGapS(system, begunAt),
    "quiet after s": quietAfterS,
  };
}

/** The longest time from then on in which nobody handled anything, though events came. */
async function longestGapS({ sql }: System, since: Date): Promise<number> {
  const [row] = await sql<{ seconds: number }[]>`
    SELECT coalesce(extract(epoch FROM max(gap)), 'NaN')::float8 AS seconds
    FROM (SELECT at, at - lag(at) OVER (ORDER BY at) AS gap FROM effect) gaps
    WHERE at > ${since} AND at - gap > ${since}`;
  return row?.seconds ?? Number.NaN;
}

/** What the consumers answer the broker, as somebody hears who listens to the broker. */
async function followAnswers({ natsUrl }: System, ackWaitMs: number) {
  const nats = openNats({ url: natsUrl, name: "chaos-answers", log: silentLog });
  const { connection } = await nats.online(new AbortController().signal);
  const answers = new Answers(ackWaitMs);
  connection.subscribe(`$JS.ACK.${contract.stream}.${contract.consumer}.>`, {
    callback: (_error, message) =>
      answers.hear(message.subject, message.string(), systemClock.date().getTime()),
  });
  await connection.flush();
  return Object.assign(answers, { [Symbol.asyncDispose]: () => nats.close() });
}

/** Takes the database away for a while. */
export async function loseDatabase(stage: Stage): Promise<Figures> {
  const { outageMs } = stage.profile;
  await using system = await openSystem(stage);
  await using answers = await followAnswers(system, stage.profile.ackWaitMs);
  const producing = system.produce();
  await handledMore(system, stage.profile.orders);
  await system.postgres.halt();
  const before = answers.givenBack;
  await systemClock.sleep(outageMs);
  const perSecond = (answers.givenBack - before) / (outageMs / 1_000);
  await system.postgres.start();
  const backAtMs = systemClock.now();
  await handledMore(system, 1);
  const firstAfterS = (systemClock.now() - backAtMs) / 1_000;
  await producing;
  const quietAfterS = await system.untilQuiet();
  // What the inbox counts of an event that is delivered again it forgets when that is handled; the handler was told.
  const [failed] = await system.sql<{ attempts: number }[]>`
    SELECT (SELECT coalesce(sum(attempt - 1), 0) FROM effect)::int
         + (SELECT coalesce(sum(attempts), 0) FROM inbox_failure)::int AS attempts`;
  return {
    ...(await system.verdict()),
    "given back a second while it is away": perSecond,
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

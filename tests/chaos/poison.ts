import { systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { type BuriedLetter, readDeadLetters } from "../../mesh/events/dead-letter-stream.ts";
import { settleDeadLetters } from "../../mesh/events/settle-dead-letters.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { random } from "../../mesh/testing/random.ts";
import type { Figures } from "../scenarios/scenario.ts";
import { contract, EVENTS_PER_ORDER } from "./contract.ts";
import { POISON } from "./plan.ts";
import { openSystem, type Stage, type System } from "./stage.ts";

const PERMANENT = 0.01;
const TRANSIENT = 0.01;
// Each takes ten processes with it.
const DEADLY = 0.001;
// While only deadly events are left, nothing is handled.
const STILL_MS = 600_000;
const REPLAYS_PER_SECOND = 500;
const ALL = { consumer: contract.consumer, reason: "", type: "", key: "", since: undefined };
const never = new AbortController().signal;

/** Poisons some events, looks at what became dead letters, mends the handler and replays them. */
export async function survivePoison(stage: Stage): Promise<Figures> {
  const { profile, seed } = stage;
  await using system = await openSystem(stage);
  const chance = random(seed);
  const deadlyEvents = Math.ceil(profile.orders * EVENTS_PER_ORDER * DEADLY);
  const deadly = new Set(Array.from({ length: deadlyEvents }, () => chance.below(profile.orders)));
  await system.produce({
    textOf(order, seq) {
      if (deadly.has(order)) return seq === 2 ? POISON.deadly : "";
      const drawn = random(order * EVENTS_PER_ORDER + seq + seed).next();
      if (drawn < PERMANENT) return POISON.permanent;
      return drawn < PERMANENT + TRANSIENT ? POISON.transient : "";
    },
  });
  const untilBuriedS = await system.untilQuiet(STILL_MS);
  const wrong = await wrongLetters(system);
  const buried = await system.verdict();

  system.change({ isMended: true });
  for (const consumer of system.consumers) await consumer.restart();
  const letters = await replayAll(system);
  const quietAfterS = await system.untilQuiet();
  const { crashes: _, ...mended } = await system.verdict();
  const left = (await (await system.manager()).streams.info("DLQ")).state.messages;
  return {
    ...mended,
    "dead-lettered": buried["dead-lettered"] ?? Number.NaN,
    "dead letters too few or too many": wrong,
    "deadly events": deadly.size,
    "crashes of deadly events": buried.crashes ?? Number.NaN,
    replayed: letters,
    "left in the DLQ": left,
    "buried after s": untilBuriedS,
    "quiet after s": quietAfterS,
  };
}

/** How many events are dead letters and should not be, or the other way round: a poisoned one and all after it should. */
async function wrongLetters({ sql }: System): Promise<number> {
  const [row] = await sql<{ wrong: number }[]>`
    WITH first AS (
      SELECT key, min(seq) AS seq FROM produced WHERE text = ANY (${[POISON.permanent, POISON.deadly]}) GROUP BY key),
    expected AS (SELECT p.key, p.seq FROM produced p JOIN first f ON p.key = f.key AND p.seq >= f.seq),
    actual AS (
      SELECT headers ->> 'ce-partitionkey' AS key, (headers ->> 'ce-keyseq')::int AS seq
      FROM outbox WHERE stream = 'DLQ')
    SELECT (SELECT count(*) FROM (SELECT * FROM expected EXCEPT SELECT * FROM actual) few)
         + (SELECT count(*) FROM (SELECT * FROM actual EXCEPT ALL SELECT * FROM expected) many) AS wrong`;
  return row?.wrong ?? Number.NaN;
}

/** Replays every dead letter, as an operator does. Resolves with how many. */
export async function replayAll({ natsUrl }: System): Promise<number> {
  const nats = openNats({ url: natsUrl, name: "chaos-operator", log: silentLog });
  try {
    const online = await nats.online(never);
    const letters: BuriedLetter[] = [];
    for await (const letter of readDeadLetters(online, { filter: ALL, afterSeq: 0, signal: never }))
      letters.push(letter);
    const how = {
      action: "replay",
      operator: "chaos",
      note: "mended",
      ratePerSecond: REPLAYS_PER_SECOND,
    } as const;
    let done = 0;
    for await (const progress of settleDeadLetters(online, letters, how, {
      signal: never,
      clock: systemClock,
    }))
      done = progress.done;
    return done;
  } finally {
    await nats.close();
  }
}

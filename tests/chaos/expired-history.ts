import type { Figures } from "../scenarios/scenario.ts";
import { contract } from "./contract.ts";
import { replayAll } from "./poison.ts";
import { openSystem, type Stage, type System } from "./stage.ts";

// Of these, up to one and a half times as many events wait for what is sent again. If they were more than a consumer may
// hold unanswered, 512, it would get nothing else.
const MOST_LATE = 300;

/** Has a consumer come when half of what was published has left the stream. */
export async function comeLate(system: System): Promise<void> {
  const { consumers } = system;
  await Promise.all(consumers.map((consumer) => consumer.halt()));
  await (await system.manager()).consumers.delete(contract.stream, contract.consumer);
  await system.produce();
  await expireHalf(system, 0);
  // What has left is not expected.
  await forgetExpired(system);
  await Promise.all(consumers.map((consumer) => consumer.start()));
  // Keys that it begins in their middle go on.
  await system.produce({ orders: 10 });
}

/**
 * Has the consumers come back when half of what they have missed has left the stream: one order in ten, or 300, has its last
 * three events then. If the owner sends again, that is all. If not, they are to see by what an event says of the one before it
 * that there was one; nothing of such an order may be handled until an operator has replayed what is left of it.
 */
export async function comeBackLate(stage: Stage, { resends }: { resends: boolean }): Promise<Figures> {
  await using system = await openSystem(stage, { resends });
  const { consumers, sql } = system;
  const late = Math.min(Math.ceil(stage.profile.orders / 10), MOST_LATE);
  await system.produce({ seqsOf: (order) => (order < late ? [1, 2] : [1, 2, 3, 4, 5]) });
  await system.untilQuiet();
  await Promise.all(consumers.map((consumer) => consumer.halt()));
  const { state } = await (await system.manager()).streams.info(contract.stream);
  for (const seq of [3, 4, 5]) await system.produce({ first: 0, orders: late, seqsOf: () => [seq] });
  await expireHalf(system, state.last_seq);
  if (!resends) await forgetExpired(system);
  // A broker knows duplicates of what it holds only, once it has started anew.
  await system.broker.restart();
  await Promise.all(consumers.map((consumer) => consumer.start()));
  const quietAfterS = await system.untilQuiet();
  if (resends) return { ...(await system.verdict()), "quiet after s": quietAfterS };

  const tooEarly = await sql<{ count: number }[]>`
    SELECT count(*) AS count FROM effect WHERE key IN (SELECT key FROM produced GROUP BY key HAVING count(*) < 5) AND seq > 2`;
  const wrong = await wrongLetters(system);
  const buried = await system.verdict();
  const replayed = await replayAll(system);
  const mendedAfterS = await system.untilQuiet();
  return {
    ...(await system.verdict()),
    "dead-lettered": buried["dead-lettered"] ?? Number.NaN,
    "dead letters too few or too many": wrong,
    "handled before the replay": tooEarly[0]?.count ?? Number.NaN,
    replayed,
    "buried after s": quietAfterS,
    "quiet after s": mendedAfterS,
  };
}

/** Drops the first half of what the stream has got since. */
async function expireHalf(system: System, since: number): Promise<void> {
  await system.untilPublished();
  const { streams } = await system.manager();
  const { state } = await streams.info(contract.stream);
  await streams.purge(contract.stream, { seq: Math.floor((since + state.last_seq) / 2) });
}

/** What has left the stream and was not handled is not expected any more. */
async function forgetExpired(system: System): Promise<void> {
  const { state } = await (await system.manager()).streams.info(contract.stream);
  await system.sql`
    DELETE FROM produced p USING outbox o
    WHERE o.key = p.key AND o.key_seq = p.seq AND o.stream = ${contract.stream} AND o.stream_seq < ${state.first_seq}
      AND NOT EXISTS (SELECT 1 FROM effect e WHERE e.key = p.key AND e.seq = p.seq)`;
}

/**
 * How many events are dead letters and should not be, or the other way round: of an order of which events have expired,
 * the next one has lost its history, and those after it wait for it.
 */
async function wrongLetters({ sql }: System): Promise<number> {
  const [row] = await sql<{ wrong: number }[]>`
    WITH broken AS (SELECT key, min(seq) FILTER (WHERE seq > 2) AS seq FROM produced GROUP BY key HAVING count(*) < 5),
    expected AS (
      SELECT p.key, p.seq, CASE WHEN p.seq = b.seq THEN 'history_lost' ELSE 'blocked' END AS reason
      FROM produced p JOIN broken b ON p.key = b.key AND p.seq >= b.seq),
    actual AS (
      SELECT headers ->> 'ce-partitionkey' AS key, (headers ->> 'ce-keyseq')::int AS seq, headers ->> 'dlq-reason' AS reason
      FROM outbox WHERE stream = 'DLQ')
    SELECT (SELECT count(*) FROM (SELECT * FROM expected EXCEPT SELECT * FROM actual) few)
         + (SELECT count(*) FROM (SELECT * FROM actual EXCEPT ALL SELECT * FROM expected) many) AS wrong`;
  return row?.wrong ?? Number.NaN;
}

import { beforeEach, expect, test } from "vitest";
import { newId } from "../core/ids.ts";
import { transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { toyMessage } from "../testing/toy-messages.ts";
import { toys } from "../testing/toys.ts";
import { type DeadLetter, publishDeadLetter } from "./dead-letter.ts";
import { decodeHeader } from "./envelope.ts";

const { sql } = await meshDatabase();
beforeEach(() => sql`TRUNCATE outbox, inbox_failure`);

const contract = toys();
const { consumer } = contract;

/** A dead letter about the first event of a key. */
function letter(change: Partial<DeadLetter> = {}): DeadLetter {
  const eventId = newId();
  const message = toyMessage(contract, { key: "a", keySeq: 1, seq: 5, prevSeq: 0, eventId });
  return {
    consumer,
    instance: "toy-1",
    message,
    eventId,
    reason: "permanent",
    deaths: 1,
    newAttempts: 1,
    error: new Error("no"),
    ...change,
  };
}

const write = (dead: DeadLetter) => transaction(sql, (tx) => publishDeadLetter(tx, dead));
const lastHeaders = async () => (await rows()).at(-1)?.headers ?? {};
const rows = () => sql<{ event_id: string; subject: string; headers: Record<string, string> }[]>`
  SELECT event_id, subject, headers FROM outbox WHERE stream = 'DLQ' ORDER BY id`;

test("a letter that is written again is the same letter", async () => {
  const dead = letter();
  await write(dead);
  await write({ ...dead, newAttempts: 2 });
  expect(await rows()).toMatchObject([{ headers: { "dlq-attempts": "1" } }]);
});

test("a letter of another death of the same event is another", async () => {
  const dead = letter();
  await write(dead);
  await write({ ...dead, deaths: 2 });
  expect((await rows()).map(({ headers }) => headers["dlq-count"])).toEqual(["1", "2"]);
});

test("letters of other consumers, and about other events, are others", async () => {
  const dead = letter();
  await write(dead);
  await write({ ...dead, consumer: "other__moves" });
  await write(letter());
  const found = await rows();
  expect(new Set(found.map(({ event_id }) => event_id)).size).toBe(3);
  expect(found.map(({ subject }) => subject)).toEqual([
    `dlq.${contract.aggregate}.moves.permanent`,
    "dlq.other.moves.permanent",
    `dlq.${contract.aggregate}.moves.permanent`,
  ]);
});

test("a letter of a transaction that rolls back was never written", async () => {
  const failed = transaction(sql, async (tx) => {
    await publishDeadLetter(tx, letter());
    throw new Error("rolled back");
  });
  await expect(failed).rejects.toThrow("rolled back");
  expect(await rows()).toEqual([]);
});

test("with the letter, the failures of the event are forgotten, and no others", async () => {
  const dead = letter();
  for (const [who, eventId] of [
    [consumer, dead.eventId],
    [consumer, newId()],
    ["other__moves", dead.eventId],
  ] as const) {
    await sql`INSERT INTO inbox_failure (consumer, event_id, attempts) VALUES (${who}, ${eventId}, 5)`;
  }
  await write(dead);
  expect(await sql`SELECT 1 FROM inbox_failure`).toHaveLength(2);
});

test("however long an error is, what is kept of it is short and can be read", async () => {
  for (const char of ["x", "é", "😀", "%", "\n"]) {
    const error = new Error(char.repeat(3_000));
    await write(letter({ error }));
    const headers = await lastHeaders();
    const message = headers["dlq-error-message"] ?? "";
    expect(message.length).toBeLessThanOrEqual(1_024);
    expect(message.length).toBeGreaterThan(1_000);
    expect(error.message.startsWith(decodeHeader(message))).toBe(true);
    expect(Buffer.from(headers["dlq-error-stack"] ?? "", "base64").length).toBeLessThanOrEqual(4_096);
  }
});

test("anything that was thrown can be told", async () => {
  for (const [error, type, message] of [
    ["just a text", "string", "just a text"],
    [undefined, "undefined", "undefined"],
    [{ code: 7 }, "object", "[object Object]"],
    [new TypeError("wrong"), "TypeError", "wrong"],
  ] as const) {
    await write(letter({ error }));
    const headers = await lastHeaders();
    expect([headers["dlq-error-type"], decodeHeader(headers["dlq-error-message"] ?? "")]).toEqual([
      type,
      message,
    ]);
  }
});

import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { systemClock } from "../core/clock.ts";
import { childOf, formatTraceparent } from "../core/trace.ts";
import { runWork } from "../core/work.ts";
import { type Tx, transaction } from "../store/transaction.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { random } from "../testing/random.ts";
import { toys } from "../testing/toys.ts";
import { outboxChanges, publish, send } from "./publish.ts";
import { partitionOf } from "./subject.ts";

const { sql } = await meshDatabase(22);

const numbersOf = async (stream: string, key: string): Promise<number[]> => {
  const rows = await sql`SELECT key_seq FROM outbox WHERE stream = ${stream} AND key = ${key} ORDER BY id`;
  return rows.map((row) => row.key_seq);
};

test("the events of one key are numbered without gaps, in the order of their commits, by 20 at the same time", async () => {
  const { Moved, stream } = toys();
  const chances = random(3);
  const fates = Array.from({ length: 60 }, (_, i) => ({ n: i, rollsBack: chances.chance(0.3) }));
  await Promise.all(
    fates.map(({ n, rollsBack }) =>
      transaction(sql, async (tx) => {
        await publish(tx, Moved, { toyId: "a", n });
        if (chances.chance(0.3)) await publish(tx, Moved, { toyId: "a", n: 1_000 + n });
        if (rollsBack) throw new Error("rolled back");
      }).catch((error: Error) => expect(error.message).toBe("rolled back")),
    ),
  );
  const numbers = await numbersOf(stream, "a");
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  const rows = await sql<{ payload: Buffer }[]>`SELECT payload FROM outbox WHERE stream = ${stream}`;
  const committed = new Set(rows.map(({ payload }) => fromBinary(Moved, payload).n % 1_000));
  expect(committed).toEqual(new Set(fates.filter((fate) => !fate.rollsBack).map(({ n }) => n)));
});

test("keys and streams are numbered by themselves", async () => {
  const [first, second] = [toys(), toys()];
  await transaction(sql, async (tx) => {
    await publish(tx, first.Moved, { toyId: "a" });
    await publish(tx, first.Painted, { toyId: "a" });
    await publish(tx, first.Moved, { toyId: "b" });
    await publish(tx, second.Moved, { toyId: "a" });
  });
  expect(await numbersOf(first.stream, "a")).toEqual([1, 2]);
  expect(await numbersOf(first.stream, "b")).toEqual([1]);
  expect(await numbersOf(second.stream, "a")).toEqual([1]);
});

test("an event of a transaction that rolls back is not published, and wakes no relay", async () => {
  const { Moved, stream } = toys();
  const woken = new AbortController();
  const waiting = outboxChanges.next([stream], 600_000, woken.signal, systemClock).then(() => "woken");
  const failed = transaction(sql, async (tx) => {
    await publish(tx, Moved, { toyId: "a" });
    throw new Error("no");
  });
  await expect(failed).rejects.toThrow("no");
  expect(await numbersOf(stream, "a")).toEqual([]);
  expect(await Promise.race([waiting, Promise.resolve("asleep")])).toBe("asleep");
  await transaction(sql, (tx) => publish(tx, Moved, { toyId: "a" }));
  expect(await waiting).toBe("woken");
});

test("there is no publishing outside of a transaction, or after it", async () => {
  const { Moved, stream } = toys();
  // @ts-expect-error: a pool is no transaction.
  await expect(publish(sql, Moved, { toyId: "a" })).rejects.toThrow();
  let kept: Tx | undefined;
  await transaction(sql, async (tx) => {
    kept = tx;
  });
  await expect(publish(kept as Tx, Moved, { toyId: "a" })).rejects.toThrow("the transaction is over");
  expect(await numbersOf(stream, "a")).toEqual([]);
});

test("an event without its key, or without a contract, is refused", async () => {
  const { Moved } = toys();
  await expect(transaction(sql, (tx) => publish(tx, Moved, { n: 1 }))).rejects.toThrow(
    "needs its key toy_id",
  );
});

test("a row says all that the event is", async () => {
  const { Moved, stream, aggregate } = toys();
  const trace = { ...childOf(undefined), state: "vendor=1" };
  const work = { trace, requestId: "request 1", deadlineMs: Number.POSITIVE_INFINITY, causationId: "cause" };
  await runWork(work, () =>
    transaction(sql, (tx) => publish(tx, Moved, { toyId: "kéy 1", n: 7, text: "hello" })),
  );
  const [row] = await sql`SELECT * FROM outbox WHERE stream = ${stream}`;
  const type = `test.${aggregate}.v1.Moved`;
  expect(row).toMatchObject({
    subject: `evt.${aggregate}.v1.${partitionOf("kéy 1")}.Moved`,
    type,
    key: "kéy 1",
    key_seq: 1,
    published_at: null,
    attempts: 0,
  });
  expect(fromBinary(Moved, row?.payload)).toMatchObject({ toyId: "kéy 1", n: 7, text: "hello" });
  expect(row?.headers).toMatchObject({
    "ce-specversion": "1.0",
    "ce-id": row?.event_id,
    "ce-type": type,
    "ce-subject": "k%C3%A9y%201",
    "ce-partitionkey": "k%C3%A9y%201",
    "ce-datacontenttype": "application/protobuf",
    "ce-dataschema": expect.stringMatching(`^proto://${type}#[0-9a-f]{12}$`),
    "ce-correlationid": "request%201",
    "ce-causationid": "cause",
    "ce-source": `/test/${aggregate}`,
    traceparent: expect.stringContaining(trace.traceId),
    tracestate: "vendor=1",
    "ce-traceparent": formatTraceparent(trace),
  });
  expect(row?.headers).not.toHaveProperty("ce-expirytime");
  expect(row?.headers.traceparent).not.toContain(trace.spanId);
});

test("an event that nobody asked for begins its own story", async () => {
  const { Moved, stream } = toys();
  await transaction(sql, (tx) => publish(tx, Moved, { toyId: "a" }));
  const [row] = await sql`SELECT event_id, headers FROM outbox WHERE stream = ${stream}`;
  expect(row?.headers).toMatchObject({ "ce-correlationid": row?.event_id, "ce-causationid": row?.event_id });
});

test("a command goes to the stream of its receiver, with its end, and without number or sender", async () => {
  const { Fetch, aggregate } = toys();
  const before = Date.now();
  await transaction(sql, (tx) => send(tx, Fetch, { toyId: "a", n: 7 }));
  const [row] = await sql`SELECT * FROM outbox WHERE stream = ${`CMD_${aggregate.toUpperCase()}`}`;
  const subject = `cmd.${aggregate}.v1.${partitionOf("a")}.Fetch`;
  expect(row).toMatchObject({ subject, key: null, key_seq: null, published_at: null });
  expect(row?.headers).toMatchObject({ "ce-subject": "a", "ce-partitionkey": "a" });
  expect(row?.headers).not.toHaveProperty("ce-source");
  expect(Date.parse(row?.headers["ce-expirytime"])).toBeGreaterThanOrEqual(before + 60_000);
});

test("commands of one key wait for nobody's transaction", async () => {
  const { Fetch, aggregate } = toys();
  await transaction(sql, async (tx) => {
    await send(tx, Fetch, { toyId: "a", n: 1 });
    await transaction(sql, (other) => send(other, Fetch, { toyId: "a", n: 2 }));
  });
  const rows = await sql`SELECT 1 FROM outbox WHERE stream = ${`CMD_${aggregate.toUpperCase()}`}`;
  expect(rows).toHaveLength(2);
});

test("an event is not sent, and a command is not published", async () => {
  const { Moved, Fetch } = toys();
  const wrong = (put: (tx: Tx) => Promise<void>) => transaction(sql, put);
  await expect(wrong((tx) => send(tx, Moved, { toyId: "a" }))).rejects.toThrow("is published, not sent");
  await expect(wrong((tx) => publish(tx, Fetch, { toyId: "a" }))).rejects.toThrow("is sent, not published");
});

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { silentLog } from "../core/log.ts";
import type { Relay } from "../events/relay.ts";
import { DEAD_LETTERS } from "../events/streams.ts";
import { operatorsBy } from "../rpc/server/operators.ts";
import { testBroker } from "../testing/broker.ts";
import { refusalOf } from "../testing/refusal.ts";
import { testServer } from "../testing/server.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { WIRE_PROTOCOLS } from "../testing/wire-protocols.ts";
import { outboxAdminService } from "./outbox-admin.ts";

// One broker for all tests; each has a stream of its own.
const broker = await testBroker();

// Tries again at once, so that a test need not wait for ten attempts.
const eager: Clock = {
  ...systemClock,
  sleep: (delayMs, signal) => systemClock.sleep(Math.min(delayMs, 5), signal),
};

/** A shop whose outbox is administered, with a client of its OutboxAdminService. */
async function administered(token = "") {
  const shop = await toyShop();
  const relays = new Map<string, Relay>();
  const stream = shop.contract.stream;
  const handlers = outboxAdminService({
    instance: "toy-1",
    sql: shop.sql,
    relays,
    operators: operatorsBy(token),
    log: silentLog,
  });
  const server = await testServer(OutboxAdminService, handlers);
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  relays.set(stream, shop.relay(shop.plan, { clock: eager }));
  relays.set(DEAD_LETTERS.name, shop.relay(DEAD_LETTERS));
  return { shop, stream, admin: createClient(OutboxAdminService, protocol.open(server)) };
}

/** Publishes so many events of a key, and waits until the broker has them. */
async function moved(shop: ToyShop, key: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await shop.move(key, n);
  await untilNonePends(shop);
}

const untilNonePends = ({ sql }: ToyShop) =>
  until(async () => {
    const rows = await sql`SELECT 1 FROM outbox WHERE published_at IS NULL AND failed_at IS NULL LIMIT 1`;
    return rows.length === 0;
  });

/** Empties the stream, as its age does. Started again, the broker does not know the ids any more either. */
async function expire(shop: ToyShop): Promise<void> {
  const { streams } = await shop.manager();
  await streams.purge(shop.contract.stream);
  await broker.stop();
  await broker.start();
}

const storedOf = async (shop: ToyShop, key: string) =>
  (await shop.stored(shop.contract.stream))
    .filter(({ headers }) => headers["ce-partitionkey"] === key)
    .map(({ headers }) => headers["ce-keyseq"]);

test("the stats tell of each stream who publishes it, what waits, and what was set aside and why", async () => {
  const { shop, stream, admin } = await administered();
  await moved(shop, "a", 3);
  await shop.sql`
    UPDATE outbox SET published_at = NULL, stream_seq = NULL, failed_at = now(), error = 'too large' WHERE key_seq = 3`;
  await shop.move("a", 4);
  const { instance, streams, tableBytes } = await admin.getOutboxStats({});
  expect([instance, tableBytes > 0n]).toEqual(["toy-1", true]);
  const [toys, letters] = streams;
  expect(toys).toMatchObject({ stream, leads: true, pending: 1n, quarantined: 1n, lastStreamSeq: 2n });
  expect(toys?.oldestPendingAge).toBeDefined();
  expect(toys?.quarantine).toMatchObject([
    { key: "a", keySeq: 3, type: shop.contract.Moved.typeName, error: "too large" },
  ]);
  expect(letters).toMatchObject({ stream: "DLQ", pending: 0n, quarantined: 0n, quarantine: [] });
  expect(letters?.oldestPendingAge).toBeUndefined();
});

test("events of a key are sent again from a number on, or up to one, in their order", async () => {
  const { shop, stream, admin } = await administered();
  await moved(shop, "a", 5);
  await moved(shop, "b", 2);
  await expire(shop);
  expect(await admin.resend({ stream, key: "a", fromSeq: 4 })).toMatchObject({ events: 2, lastSeq: 5 });
  await until(async () => (await storedOf(shop, "a")).length >= 2);
  expect(await admin.resend({ stream, key: "a", fromSeq: 1, toSeq: 2 })).toMatchObject({
    events: 2,
    lastSeq: 2,
  });
  await untilNonePends(shop);
  expect(await storedOf(shop, "a")).toEqual(["4", "5", "1", "2"]);
  expect(await storedOf(shop, "b")).toEqual([]);
});

test("what the broker still has is not stored again", async () => {
  const { shop, stream, admin } = await administered();
  await moved(shop, "a", 3);
  await admin.resend({ stream, key: "a", fromSeq: 1 });
  await untilNonePends(shop);
  expect(await storedOf(shop, "a")).toEqual(["1", "2", "3"]);
});

test("events that are not there, or not all of them any more, are not sent again", async () => {
  const { shop, stream, admin } = await administered();
  await moved(shop, "a", 4);
  await shop.sql`DELETE FROM outbox WHERE key_seq = 2`;
  const missing = { code: "NotFound", reason: "EVENT_NOT_FOUND" };
  for (const asked of [
    { key: "unknown", fromSeq: 1 },
    { key: "a", fromSeq: 5 },
    { key: "a", fromSeq: 2 },
    { key: "a", fromSeq: 1 },
    { key: "a", fromSeq: 1, toSeq: 2 },
  ])
    expect(await refusalOf(admin.resend({ stream, ...asked }))).toMatchObject(missing);
  expect(await admin.resend({ stream, key: "a", fromSeq: 3 })).toMatchObject({ events: 2, lastSeq: 4 });
});

test("what happened in a length of time is counted, and published again", async () => {
  const { shop, stream, admin } = await administered();
  await moved(shop, "a", 4);
  await shop.sql`
    UPDATE outbox SET created_at = timestamptz '2026-01-01T12:00:00.0005Z' + (key_seq - 1) * interval '1 minute'`;
  await expire(shop);
  const minute = (n: number) => timestampFromDate(new Date(Date.UTC(2026, 0, 1, 12, n)));
  const range = { stream, fromTime: minute(1), toTime: minute(3) };
  expect((await admin.republishRange({ ...range, dryRun: true })).events).toBe(2n);
  await untilNonePends(shop);
  expect(await storedOf(shop, "a")).toEqual([]);
  expect((await admin.republishRange(range)).events).toBe(2n);
  await untilNonePends(shop);
  expect(await storedOf(shop, "a")).toEqual(["2", "3"]);
});

test("more events than one call may publish again are refused, and counted all the same", async () => {
  const { shop, stream, admin } = await administered();
  await shop.sql`
    INSERT INTO outbox (event_id, stream, subject, type, headers, payload, published_at, stream_seq)
    SELECT gen_random_uuid(), ${stream}, 'x', 'x', '{}', '', now(), 0 FROM generate_series(1, 50001)`;
  const [fromTime, toTime] = [new Date(0), new Date(Date.now() + 3_600_000)].map(timestampFromDate);
  if (!fromTime || !toTime) throw new Error("there are two");
  const range = { stream, fromTime, toTime };
  expect(await refusalOf(admin.republishRange(range))).toMatchObject({
    code: "FailedPrecondition",
    reason: "TOO_MANY_EVENTS",
  });
  expect((await admin.republishRange({ ...range, dryRun: true })).events).toBe(50_001n);
});

test("a quarantined event is tried again, and its key goes on", async () => {
  const { shop, stream, admin } = await administered();
  await moved(shop, "a", 1);
  const { streams } = await shop.manager();
  await streams.update(stream, { max_msg_size: 2_000 });
  await shop.move("a", 2, "x".repeat(3_000));
  await shop.move("a", 3);
  const quarantined = () =>
    until(async () => {
      const [row] = await shop.sql<
        { event_id: string }[]
      >`SELECT event_id FROM outbox WHERE failed_at IS NOT NULL`;
      return row?.event_id;
    });
  const eventId = await quarantined();
  expect(await storedOf(shop, "a")).toEqual(["1"]);

  await streams.update(stream, { max_msg_size: 512 * 1024 });
  expect((await admin.liftQuarantine({ stream, eventId })).events).toBe(1);
  await untilNonePends(shop);
  expect(await storedOf(shop, "a")).toEqual(["1", "2", "3"]);
  const missing = { code: "NotFound", reason: "EVENT_NOT_FOUND" };
  expect(await refusalOf(admin.liftQuarantine({ stream, eventId }))).toMatchObject(missing);
  // Nothing is left to let go, which all of nothing is.
  expect((await admin.liftQuarantine({ stream })).events).toBe(0);
});

test("a stream of others is refused by name", async () => {
  const { admin } = await administered();
  const stream = "EVT_OTHER";
  const [fromTime, toTime] = [timestampFromDate(new Date(0)), timestampFromDate(new Date(1))];
  for (const call of [
    admin.resend({ stream, key: "a", fromSeq: 1 }),
    admin.republishRange({ stream, fromTime, toTime }),
    admin.liftQuarantine({ stream }),
  ])
    expect(await refusalOf(call)).toMatchObject({ code: "NotFound", reason: "STREAM_NOT_FOUND" });
});

test("bad requests are refused by their fields", async () => {
  const { stream, admin } = await administered();
  const [early, late] = [timestampFromDate(new Date(0)), timestampFromDate(new Date(1))];
  const invalid = (...fields: string[]) => ({
    code: "InvalidArgument",
    reason: "INVALID_REQUEST",
    fields,
  });
  for (const [call, fields] of [
    [admin.resend({}), ["stream", "key", "from_seq"]],
    [admin.resend({ stream, key: "a", fromSeq: 1, toSeq: -1 }), ["to_seq", ""]],
    [admin.resend({ stream, key: "a", fromSeq: 3, toSeq: 2 }), [""]],
    [admin.republishRange({ stream }), ["from_time", "to_time"]],
    [admin.republishRange({ stream, fromTime: late, toTime: early }), [""]],
    [admin.republishRange({ stream, fromTime: early, toTime: { seconds: 10n ** 15n } }), ["to_time"]],
    [admin.liftQuarantine({ stream, eventId: "x" }), ["event_id"]],
  ] as const)
    expect(await refusalOf(call)).toMatchObject({
      ...invalid(),
      fields: expect.arrayContaining([...fields]),
    });
});

test("where operators have a token, nobody sees or does anything without it", async () => {
  const { stream, admin } = await administered("the-token");
  const [fromTime, toTime] = [timestampFromDate(new Date(0)), timestampFromDate(new Date(1))];
  for (const call of [
    admin.getOutboxStats({}),
    admin.resend({ stream, key: "a", fromSeq: 1 }),
    admin.republishRange({ stream, fromTime, toTime }),
    admin.liftQuarantine({ stream }),
  ])
    expect(await refusalOf(call)).toMatchObject({ code: "PermissionDenied", reason: "OPERATORS_ONLY" });
  const headers = { "mesh-operator-token": "the-token" };
  expect((await admin.getOutboxStats({}, { headers })).instance).toBe("toy-1");
});

import { expect, test } from "vitest";
import { AuditService } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import type { AuditedEvent } from "./audit.ts";
import { readSettings } from "./config.ts";
import { insertEvent } from "./store.ts";

const { client, sql } = await testService({ contract: AuditService, readSettings, start: startApp });

function event(key: string, second: number, name = "OrderPlaced"): AuditedEvent {
  return {
    eventId: newId(),
    type: `shop.order.v1.${name}`,
    key,
    keySeq: second,
    source: "/shop/order",
    stream: "EVT_ORDER",
    streamSeq: second,
    subject: `evt.order.v1.p00.${name}`,
    correlationId: "request-1",
    causationId: "request-1",
    headers: {},
    payload: new Uint8Array(),
    eventTime: new Date(Date.UTC(2026, 0, 1, 12, 0, second)),
  };
}

async function keep(...events: readonly AuditedEvent[]): Promise<void> {
  for (const each of events) await transaction(sql, (tx) => insertEvent(tx, each));
}

const seqs = (events: readonly { keySeq: bigint }[]) => events.map(({ keySeq }) => Number(keySeq));

test("events are listed by the time at which they happened, the latest first, page by page", async () => {
  await keep(...[2, 5, 1, 4, 3].map((second) => event("paged", second)));
  const found: number[] = [];
  const sizes: number[] = [];
  for (let pageToken = "", first = true; first || pageToken !== ""; first = false) {
    const page = await client.listEvents({ filter: { key: "paged" }, pageSize: 2, pageToken });
    found.push(...seqs(page.events));
    sizes.push(page.events.length);
    pageToken = page.nextPageToken;
  }
  expect(found).toEqual([5, 4, 3, 2, 1]);
  expect(sizes).toEqual([2, 2, 1]);
});

test("events are found by key, by the full name of their type or its last part, and by time", async () => {
  await keep(event("found", 1), event("found", 2, "OrderConfirmed"), event("found", 3), event("other", 4));
  const list = async (filter: object, since?: object) =>
    seqs((await client.listEvents({ filter: { key: "found", ...filter }, ...since })).events);
  expect(await list({})).toEqual([3, 2, 1]);
  expect(await list({ type: "OrderPlaced" })).toEqual([3, 1]);
  expect(await list({ type: "shop.order.v1.OrderConfirmed" })).toEqual([2]);
  expect(await list({ type: "shop.payment.v1.OrderPlaced" })).toEqual([]);
  const since = { seconds: BigInt(Date.UTC(2026, 0, 1, 12, 0, 2) / 1_000), nanos: 0 };
  expect(await list({}, { since })).toEqual([3, 2]);
});

test("one event is found by its id", async () => {
  const one = event("one", 1);
  await keep(one);
  const { event: found } = await client.getEvent({ eventId: one.eventId });
  expect(found).toMatchObject({ eventId: one.eventId, type: one.type, key: "one" });
});

test("an event that is kept already stays as it is", async () => {
  const one = event("kept", 1);
  await keep(one, { ...one, keySeq: 7 });
  expect(seqs((await client.listEvents({ filter: { key: "kept" } })).events)).toEqual([1]);
});

test("a follower gets each event once, whenever its transaction commits", async () => {
  const key = "followed";
  const stop = new AbortController();
  const stream = client.watchEvents({ filter: { key } }, { signal: stop.signal })[Symbol.asyncIterator]();
  const next = async () => Number((await stream.next()).value?.event?.keySeq);
  const first = next();
  // Until it follows nothing is promised.
  for (let isSeen = false; !isSeen; ) {
    await keep(event(key, 1));
    isSeen = await Promise.race([
      first.then(() => true),
      new Promise<false>((r) => setTimeout(r, 50, false)),
    ]);
  }

  const isOpen = Promise.withResolvers<void>();
  const mayCommit = Promise.withResolvers<void>();
  const late = transaction(sql, async (tx) => {
    await insertEvent(tx, event(key, 2));
    isOpen.resolve();
    await mayCommit.promise;
  });
  await isOpen.promise;
  // This one commits first, though it was written later.
  await keep(event(key, 3));
  mayCommit.resolve();
  await late;

  const seen: number[] = [];
  while (!seen.includes(3)) seen.push(await next());
  expect(seen.filter((seq) => seq !== 1)).toEqual([2, 3]);
  stop.abort();
});

test.each([
  ["an id that names nothing", () => client.getEvent({ eventId: newId() }), "NotFound", "EVENT_NOT_FOUND"],
  ["an id that is none", () => client.getEvent({ eventId: "x" }), "InvalidArgument", "INVALID_REQUEST"],
  [
    "a token of somebody else",
    () => client.listEvents({ pageToken: "WyJhIl0" }),
    "InvalidArgument",
    "INVALID_REQUEST",
  ],
] as const)("%s is refused", async (_, call, code, reason) => {
  expect(await refusalOf(call())).toMatchObject({ code, reason });
});

test("where operators have a token, nobody else looks", async () => {
  const env = { MESH_OPERATOR_TOKEN: "secret" };
  const guarded = await testService({ contract: AuditService, readSettings, start: startApp, env });
  const refused = { code: "PermissionDenied", reason: "OPERATORS_ONLY" };
  const watch = async () => {
    for await (const _ of guarded.client.watchEvents({}));
  };
  expect(await refusalOf(guarded.client.listEvents({}))).toMatchObject(refused);
  expect(await refusalOf(guarded.client.getEvent({ eventId: newId() }))).toMatchObject(refused);
  expect(await refusalOf(watch())).toMatchObject(refused);
  const headers = { "mesh-operator-token": "secret" };
  expect(await guarded.client.listEvents({}, { headers })).toMatchObject({ events: [] });
});

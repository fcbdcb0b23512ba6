import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { beforeEach, expect, test } from "vitest";
import {
  DeadLetterGroup,
  type DeadLetterProgress,
  DeadLetterService,
} from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { DEAD_LETTERS, ensureStream, REPLAYS } from "../../mesh/events/streams.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { testBroker } from "../../mesh/testing/broker.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const service = { contract: DeadLetterService, readSettings, start: startApp };
const { client } = await testService(service);
const broker = await testBroker();
const nats = openNats({ url: broker.url, name: "test", log: silentLog });
atEnd(() => nats.close());
const { connection } = await nats.online(new AbortController().signal);
const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 20_000 });
await ensureStream(manager, DEAD_LETTERS);
// The service's own way to the broker may come later than ours.
await until(() =>
  client.listDeadLetters({}).catch((error: { code?: number }) => {
    if (error.code === Code.Unavailable) return undefined;
    throw error;
  }),
);

beforeEach(async () => {
  await manager.streams.purge(DEAD_LETTERS.name);
});

/** Buries a customer's registration, as a consumer of the customers would. Returns its number. */
async function bury(customerId: string, { reason = "exhausted", consumer = "notification__customers" } = {}) {
  const [of, subscription] = consumer.split("__");
  const headers = natsHeaders();
  const said = {
    "ce-id": newId(),
    "ce-type": CustomerRegisteredSchema.typeName,
    "ce-partitionkey": customerId,
    "ce-keyseq": "1",
    "dlq-error-type": "TypeError",
    "dlq-error-message": "no%20such%20thing",
    "dlq-error-stack": Buffer.from("TypeError: no such thing\n  at here").toString("base64"),
    "dlq-attempts": "6",
    "dlq-dead-at": "2026-01-01T12:00:00.000Z",
    "dlq-orig-stream": "EVT_CUSTOMER",
  };
  for (const [name, value] of Object.entries(said)) headers.set(name, value);
  const event = create(CustomerRegisteredSchema, {
    customerId,
    email: "ada@example.com",
    displayName: "Ada",
  });
  const payload = toBinary(CustomerRegisteredSchema, event);
  const { seq } = await jetstream(connection).publish(`dlq.${of}.${subscription}.${reason}`, payload, {
    headers,
    timeout: 20_000,
  });
  return BigInt(seq);
}

async function progressOf(stream: AsyncIterable<{ progress?: DeadLetterProgress | undefined }>) {
  const all = await Array.fromAsync(stream);
  return all.map(({ progress }) => progress);
}

const keys = (letters: readonly { key: string }[]) => letters.map(({ key }) => key);
const BY = { operator: "ada", note: "mended" };

test("dead letters are listed page by page, the oldest first", async () => {
  for (const key of ["c-1", "c-2", "c-3"]) await bury(key);
  const first = await client.listDeadLetters({ pageSize: 2 });
  expect(keys(first.letters)).toEqual(["c-1", "c-2"]);
  expect(first.letters[0]).toMatchObject({
    consumer: "notification__customers",
    reason: "exhausted",
    type: "shop.customer.v1.CustomerRegistered",
    keySeq: 1n,
    errorType: "TypeError",
    errorMessage: "no such thing",
    attempts: 6,
  });
  const second = await client.listDeadLetters({ pageSize: 2, pageToken: first.nextPageToken });
  expect(keys(second.letters)).toEqual(["c-3"]);
  expect(second.nextPageToken).toBe("");
});

test("dead letters are counted by what they have in common", async () => {
  await bury("c-1");
  await bury("c-2");
  await bury("c-3", { reason: "permanent", consumer: "review__customers" });
  const count = async (groupBy: DeadLetterGroup, filter = {}) => {
    const { counts, total } = await client.countDeadLetters({ groupBy, filter });
    return [counts.map(({ value, count }) => `${value} ${count}`), Number(total)];
  };
  expect(await count(DeadLetterGroup.UNSPECIFIED)).toEqual([
    ["notification__customers 2", "review__customers 1"],
    3,
  ]);
  expect(await count(DeadLetterGroup.REASON)).toEqual([["exhausted 2", "permanent 1"], 3]);
  expect(await count(DeadLetterGroup.ERROR, { consumer: "review" })).toEqual([["TypeError 1"], 1]);
});

test("one dead letter shows its content, personal data masked, and where its error came from", async () => {
  const seq = await bury("c-1");
  const shown = await client.getDeadLetter({ seq });
  expect(shown).toMatchObject({
    letter: { seq, key: "c-1" },
    errorStack: "TypeError: no such thing\n  at here",
    payload: { case: "content", value: { customerId: "c-1", email: "***", displayName: "***" } },
  });
  expect(shown.headers["dlq-attempts"]).toBe("6");
});

test("a replay streams how far it is, and leaves nothing behind", async () => {
  for (const key of ["c-1", "c-2"]) await bury(key);
  await bury("c-3", { reason: "permanent" });
  const selection = { letters: { case: "filter", value: { reason: "exhausted" } } } as const;
  const told = await progressOf(client.replayDeadLetters({ selection, ratePerSecond: 1_000, ...BY }));
  expect(told.map((progress) => [progress?.done, progress?.matched, progress?.isComplete])).toEqual([
    [0n, 2n, false],
    [1n, 2n, false],
    [2n, 2n, false],
    [2n, 2n, true],
  ]);
  expect(keys((await client.listDeadLetters({})).letters)).toEqual(["c-3"]);
  const { state } = await manager.streams.info(REPLAYS.name, { subjects_filter: "replay.notification.>" });
  expect(Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0)).toBe(2);
});

test("a dry run only says how many they are", async () => {
  for (const key of ["c-1", "c-2"]) await bury(key);
  const selection = { letters: { case: "all", value: true } } as const;
  for (const run of [client.replayDeadLetters, client.discardDeadLetters]) {
    const told = await progressOf(run({ selection, dryRun: true, ...BY }));
    expect(told.at(-1)).toMatchObject({ matched: 2n, done: 0n, isComplete: true });
  }
  expect(keys((await client.listDeadLetters({})).letters)).toEqual(["c-1", "c-2"]);
});

test("letters can be discarded one by one", async () => {
  const [one, other] = [await bury("c-1"), await bury("c-2")];
  const selection = { letters: { case: "seqs" as const, value: { seqs: [one, one] } } };
  const told = await progressOf(client.discardDeadLetters({ selection, ...BY }));
  expect(told.at(-1)).toMatchObject({ matched: 1n, done: 1n, isComplete: true });
  expect((await client.listDeadLetters({})).letters.map(({ seq }) => seq)).toEqual([other]);
});

test("what was done with dead letters is listed, the latest first: by whom, why, and what was asked for", async () => {
  const operator = newId();
  const since = timestampFromDate(new Date());
  const [first] = [await bury("c-1"), await bury("c-2"), await bury("c-3")];
  const mine = { letters: { case: "seqs" as const, value: { seqs: [first] } } };
  const by = { operator, note: "mended", ratePerSecond: 1_000 };
  await progressOf(client.replayDeadLetters({ selection: mine, ...by }));
  const filter = { consumer: "notification", since: timestampFromDate(new Date(0)) };
  const theirs = { letters: { case: "filter" as const, value: filter } };
  await progressOf(client.discardDeadLetters({ selection: theirs, ...by, note: "test data" }));

  const page = await client.listDeadLetterRecords({ operator, since, pageSize: 2 });
  const rest = await client.listDeadLetterRecords({ operator, pageToken: page.nextPageToken });
  expect([rest.records.length, rest.nextPageToken]).toEqual([1, ""]);
  const all = [...page.records, ...rest.records];
  expect(all).toMatchObject([
    { action: "discard", note: "test data", matched: 2n, filter, letter: { key: "c-3" } },
    { action: "discard", note: "test data", matched: 2n, filter, letter: { key: "c-2" } },
    { action: "replay", note: "mended", matched: 1n, letter: { key: "c-1", seq: first } },
  ]);
  expect(all[2]?.filter).toBeUndefined();
  expect(all.map(({ operator: by }) => by)).toEqual([operator, operator, operator]);
  expect(all[0]?.actId).toBe(all[1]?.actId);
  expect(all[0]?.actId).not.toBe(all[2]?.actId);
  const discarded = await client.listDeadLetterRecords({ operator, action: "discard", key: "c-2" });
  expect(keys(discarded.records.flatMap(({ letter }) => letter ?? []))).toEqual(["c-2"]);
});

test.each([
  ["a filter that says nothing", { letters: { case: "filter", value: {} } }, BY],
  ["no selection", { letters: { case: undefined } }, BY],
  ["nobody who asks", { letters: { case: "all", value: true } }, { operator: "", note: "why" }],
  ["a discard without a reason", { letters: { case: "all", value: true } }, { operator: "ada", note: "" }],
] as const)("%s is refused, and nothing happens", async (_, selection, by) => {
  await bury("c-1");
  const discarded = progressOf(client.discardDeadLetters({ selection, ...by }));
  expect(await refusalOf(discarded)).toMatchObject({ code: "InvalidArgument", reason: "INVALID_REQUEST" });
  expect(keys((await client.listDeadLetters({})).letters)).toEqual(["c-1"]);
});

test("a letter that is not there is refused by its number", async () => {
  expect(await refusalOf(client.getDeadLetter({ seq: 999_999n }))).toEqual({
    code: "NotFound",
    reason: "DEAD_LETTER_NOT_FOUND",
    domain: "mesh.weft",
  });
});

test("where operators have a token, nobody else sees or does anything", async () => {
  const guarded = await testService({ ...service, env: { MESH_OPERATOR_TOKEN: "secret" } });
  const selection = { letters: { case: "all", value: true } } as const;
  const calls = [
    guarded.client.listDeadLetters({}),
    guarded.client.countDeadLetters({}),
    guarded.client.getDeadLetter({ seq: 1n }),
    progressOf(guarded.client.replayDeadLetters({ selection, ...BY })),
    progressOf(guarded.client.discardDeadLetters({ selection, ...BY })),
    guarded.client.listDeadLetterRecords({}),
  ];
  for (const call of calls) expect(await refusalOf(call)).toMatchObject({ reason: "OPERATORS_ONLY" });
});

import { headers as natsHeaders } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { OnDead, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { PermanentError } from "../core/errors.ts";
import { testBroker } from "../testing/broker.ts";
import { type ToyMessage, toyHeaders, toyPayload } from "../testing/toy-messages.ts";
import { type StoredMessage, type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { UndecodableError } from "./envelope.ts";
import { type Replay, readReplay } from "./replay.ts";
import { DEAD_LETTERS, ensureStream, REPLAYS } from "./streams.ts";
import { replaySubject } from "./subject.ts";

await testBroker();

/** A shop that carries its dead letters away, and whose events are in its stream before anybody handles them. */
async function shopWith(subscription: Parameters<typeof toyShop>[0] = {}): Promise<ToyShop> {
  const shop = await toyShop(subscription);
  shop.relay();
  shop.relay(DEAD_LETTERS);
  const manager = await shop.manager();
  await until(() => manager.streams.info(shop.contract.stream).catch(() => undefined));
  await ensureStream(manager, REPLAYS);
  return shop;
}

async function send(shop: ToyShop, toy: ToyMessage): Promise<void> {
  const { contract } = shop;
  const subject = `evt.${contract.aggregate}.v1.p00.Moved`;
  await shop.send(subject, toyHeaders(contract, toy), toyPayload(contract, toy));
}

async function sendAll(shop: ToyShop, key: string, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await send(shop, { key, keySeq: n, seq: n, prevSeq: n - 1 });
}

/** Publishes a dead letter to the consumer that failed at it, as an operator's replay does. */
async function replay(shop: ToyShop, letter: StoredMessage, action: Replay["action"] = "retry") {
  const subject = replaySubject(shop.contract.consumer, letter.headers["ce-partitionkey"] ?? "");
  const wanted = { "replay-action": action, "replay-dlq-seq": String(letter.seq) };
  await shop.send(subject, { ...headersOf(letter), ...wanted }, letter.data);
}

/** What a letter says, without what the broker has been told of it. */
function headersOf({ headers }: StoredMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("Nats-")));
}

/** Resolves when all replays have been answered. */
async function untilReplayed(shop: ToyShop): Promise<void> {
  const { consumers } = await shop.manager();
  await until(async () => {
    const info = await consumers
      .info(REPLAYS.name, `${shop.contract.consumer}__replay`)
      .catch(() => undefined);
    return info && info.num_ack_pending === 0 && info.num_pending === 0;
  });
}

/** Fails for good at some events, until the fault is mended. */
function fault(...numbers: readonly number[]) {
  const bad = new Set(numbers);
  return {
    mend: () => bad.clear(),
    handle: async (_tx: unknown, { n }: { n: number }) => {
      if (bad.has(n)) throw new PermanentError(`never ${n}`);
    },
  };
}

test.each([
  ["in order", (letters: StoredMessage[]) => letters],
  ["in the wrong order", (letters: StoredMessage[]) => letters.toReversed()],
  ["twice", (letters: StoredMessage[]) => [...letters, ...letters]],
])("the letters of a parked key that are replayed %s are handled once each and in order", async (_, sent) => {
  const shop = await shopWith();
  const { handle, mend } = fault(2);
  shop.consume(handle);
  await sendAll(shop, "a", 4);
  const letters = await shop.deadLetters(3);
  mend();
  for (const letter of sent(letters)) await replay(shop, letter);
  await shop.untilEffects(4);
  await untilReplayed(shop);
  expect(await shop.effects("a")).toEqual([1, 2, 3, 4]);
  // The key is live again.
  await send(shop, { key: "a", keySeq: 5, seq: 5, prevSeq: 4 });
  await shop.untilEffects(5);
  expect(await shop.deadLetters(3)).toHaveLength(3);
});

test("a letter that is skipped lets its key go on without it", async () => {
  const shop = await shopWith();
  const { handle } = fault(2);
  shop.consume(handle);
  await sendAll(shop, "a", 3);
  const [bad, blocked] = (await shop.deadLetters(2)) as [StoredMessage, StoredMessage];
  await replay(shop, bad, "skip");
  await replay(shop, blocked);
  await shop.untilEffects(2);
  await untilReplayed(shop);
  expect(await shop.effects("a")).toEqual([1, 3]);
});

test("an event that dies again is another letter of the same event, and its key stays parked", async () => {
  const shop = await shopWith();
  const { handle, mend } = fault(1);
  shop.consume(handle);
  await sendAll(shop, "a", 2);
  const [first, blocked] = (await shop.deadLetters(2)) as [StoredMessage, StoredMessage];
  for (const letter of [first, first, blocked]) await replay(shop, letter);
  const again = (await shop.deadLetters(3))[2] as StoredMessage;
  expect(first.headers["dlq-count"]).toBe("1");
  expect(again.headers).toMatchObject({ "dlq-count": "2", "dlq-reason": "permanent", "dlq-attempts": "1" });
  const origin = (letter: StoredMessage) =>
    Object.entries(letter.headers).filter(([name]) => /^(ce|dlq-orig)-/.test(name));
  expect(origin(again)).toEqual(origin(first));
  expect(Object.keys(again.headers).filter((name) => name.startsWith("replay-"))).toEqual([]);
  expect(await shop.effects("a")).toEqual([]);

  mend();
  await replay(shop, again);
  await shop.untilEffects(2);
  await untilReplayed(shop);
  expect(await shop.effects("a")).toEqual([1, 2]);
  expect(await shop.deadLetters(3)).toHaveLength(3);
});

test("what was passed when it died is handled late, and once", async () => {
  for (const subscription of [{ onDead: OnDead.SKIP }, { ordering: Ordering.NONE }]) {
    const shop = await shopWith(subscription);
    const { handle, mend } = fault(2);
    shop.consume(handle);
    await sendAll(shop, "a", 3);
    const [letter] = (await shop.deadLetters(1)) as [StoredMessage];
    await shop.untilEffects(2);
    mend();
    for (let copy = 0; copy < 2; copy++) await replay(shop, letter);
    await shop.untilEffects(3);
    await untilReplayed(shop);
    expect(await shop.effects("a")).toEqual([1, 3, 2]);
    await send(shop, { key: "a", keySeq: 4, seq: 4, prevSeq: 3 });
    await shop.untilEffects(4);
  }
});

test("a LATEST event that a newer one has replaced since has no effect when it is replayed; another has", async () => {
  const shop = await shopWith({ ordering: Ordering.LATEST });
  const { handle, mend } = fault(2, 3, 4);
  shop.consume(handle);
  for (const [key, numbers] of [
    ["a", [1, 2]],
    ["b", [3, 9]],
    ["c", [4]],
  ] as const) {
    for (const n of numbers) await send(shop, { key, keySeq: n, seq: 1, prevSeq: 0 });
  }
  const letters = await shop.deadLetters(3);
  await shop.untilEffects(2);
  mend();
  for (const letter of letters) for (let copy = 0; copy < 2; copy++) await replay(shop, letter);
  await shop.untilEffects(4);
  await untilReplayed(shop);
  expect(await shop.effects("a")).toEqual([1, 2]);
  expect(await shop.effects("b")).toEqual([9]);
  expect(await shop.effects("c")).toEqual([4]);
});

test("what cannot be read dies again when it is tried again, and is gone when it is skipped", async () => {
  const shop = await shopWith();
  shop.consume();
  await shop.send(
    `evt.${shop.contract.aggregate}.v1.p00.Moved`,
    { "x-from": "elsewhere" },
    new Uint8Array([1]),
  );
  const [letter] = (await shop.deadLetters(1)) as [StoredMessage];
  await replay(shop, letter);
  const again = (await shop.deadLetters(2))[1] as StoredMessage;
  expect(again.headers).toMatchObject({ "dlq-count": "2", "dlq-orig-seq": "1", "x-from": "elsewhere" });
  await replay(shop, again, "skip");
  await untilReplayed(shop);
  expect(await shop.deadLetters(2)).toHaveLength(2);
});

test("a replay that does not say what is wanted goes back to the dead letters", async () => {
  const shop = await shopWith();
  const { handle } = fault(1);
  shop.consume(handle);
  await sendAll(shop, "a", 1);
  const [letter] = (await shop.deadLetters(1)) as [StoredMessage];
  await shop.send(replaySubject(shop.contract.consumer, "a"), headersOf(letter), letter.data);
  const back = (await shop.deadLetters(2))[1] as StoredMessage;
  expect(back.headers).toMatchObject({ "dlq-reason": "undecodable", "ce-keyseq": "1" });
});

const complete = {
  "replay-action": "skip",
  "dlq-count": "2",
  "dlq-orig-stream": "EVT_TOY",
  "dlq-reason": "history_lost",
};
const replayHeaders = (change: Readonly<Record<string, string>> = {}) => {
  const headers = natsHeaders();
  for (const [name, value] of Object.entries({ ...complete, ...change })) headers.set(name, value);
  return headers;
};

test("a replay says what is wanted of which letter", () => {
  const read = { action: "skip", deaths: 2, stream: "EVT_TOY", isPastLost: true };
  expect(readReplay(replayHeaders())).toEqual(read);
  expect(readReplay(replayHeaders({ "dlq-reason": "permanent" }))).toEqual({ ...read, isPastLost: false });
});

test.each([
  ["replay-action", "redo"],
  ["replay-action", ""],
  ["dlq-orig-stream", ""],
  ["dlq-count", "many"],
  ["dlq-count", "-1"],
])('a replay whose %s is "%s" cannot be read', (name, value) => {
  expect(() => readReplay(replayHeaders({ [name]: value }))).toThrow(UndecodableError);
  expect(() => readReplay(replayHeaders({ [name]: value }))).toThrow(name);
});

import { expect, test } from "vitest";
import { PermanentError } from "../core/errors.ts";
import type { Online } from "../nats/connection.ts";
import { type Meter, noMetrics, startMetrics } from "../telemetry/metrics.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { type BuriedLetter, readDeadLetters } from "./dead-letter-stream.ts";
import { type Settlement, settleDeadLetters } from "./settle-dead-letters.ts";
import { DEAD_LETTER_RECORDS, DEAD_LETTERS, REPLAYS } from "./streams.ts";

const signal = new AbortController().signal;
const REPLAY: Settlement = { action: "replay", operator: "ada", note: "mended, é", ratePerSecond: 1_000 };
const DISCARD: Settlement = { ...REPLAY, action: "discard" };

/** A shop whose event 2 of the key "a" is a dead letter, and 3 and 4 behind it. */
async function poisonedShop() {
  const shop = await toyShop();
  let isMended = false;
  shop.relay();
  shop.relay(DEAD_LETTERS);
  shop.consume(async (_tx, { n }) => {
    if (n === 2 && !isMended) throw new PermanentError("poison");
  });
  for (const n of [1, 2, 3, 4]) await shop.move("a", n);
  await shop.deadLetters(3);
  const mend = () => {
    isMended = true;
  };
  return { shop, mend, online: await shop.nats.online(signal) };
}

async function lettersOf({ contract }: ToyShop, online: Online): Promise<BuriedLetter[]> {
  const filter = { consumer: contract.consumer, reason: "", type: "", key: "", since: undefined };
  return Array.fromAsync(readDeadLetters(online, { filter, afterSeq: 0, signal }));
}

async function settleAll(
  online: Online,
  letters: readonly BuriedLetter[],
  settlement = REPLAY,
  meter: Meter = noMetrics,
) {
  return (await Array.fromAsync(settleDeadLetters(online, letters, settlement, { signal, meter }))).at(-1);
}

async function records({ contract, stored }: ToyShop) {
  const all = await stored(DEAD_LETTER_RECORDS.name);
  return all
    .map(({ subject, data }) => ({ subject, ...JSON.parse(Buffer.from(data).toString()) }))
    .filter(({ letter }) => letter.consumer === contract.consumer);
}

const replays = ({ contract, stored }: ToyShop) => stored(REPLAYS.name, `replay.${contract.aggregate}.`);

test("replayed letters are handled in the order of their key, recorded, and gone", async () => {
  const { shop, mend, online } = await poisonedShop();
  mend();
  const letters = await lettersOf(shop, online);
  expect(letters.map(({ keySeq, reason }) => [keySeq, reason])).toEqual([
    [2, "permanent"],
    [3, "blocked"],
    [4, "blocked"],
  ]);
  expect(await settleAll(online, letters.toReversed())).toEqual({ matched: 3, done: 3, gone: 0 });
  await shop.untilEffects(4);
  expect(await shop.effects("a")).toEqual([1, 2, 3, 4]);
  expect(await lettersOf(shop, online)).toEqual([]);

  const sent = await replays(shop);
  expect(sent.map(({ headers }) => headers["ce-keyseq"])).toEqual(["2", "3", "4"]);
  expect(sent[0]?.headers).toMatchObject({
    ...letters[0]?.headers,
    "replay-action": "retry",
    "replay-by": "ada",
    "replay-note": "mended,%20%C3%A9",
    "replay-dlq-seq": String(letters[0]?.seq),
  });
  const [record] = await records(shop);
  expect(record).toMatchObject({
    subject: "dlqaudit.replay",
    action: "replay",
    operator: "ada",
    note: "mended, é",
    letter: { keySeq: "2", key: "a", reason: "permanent", errorMessage: "poison" },
    payloadSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect(record.headers).toBeUndefined();
  // By their numbers, so no filter; one act.
  expect(record.filter).toBeUndefined();
  const acts = (await records(shop)).map(({ actId, matched }) => ({ actId, matched }));
  expect(acts).toEqual(Array(3).fill({ actId: expect.any(String), matched: "3" }));
  expect(new Set(acts.map(({ actId }) => actId)).size).toBe(1);
});

test("a discarded letter is passed, and the key goes on behind it", async () => {
  const { shop, online } = await poisonedShop();
  const [poison, ...blocked] = await lettersOf(shop, online);
  const metrics = startMetrics({ keepsEndpoints: false });
  await settleAll(online, [poison as BuriedLetter], DISCARD, metrics);
  // What is not there any more is not counted.
  await settleAll(online, [poison as BuriedLetter, ...blocked], REPLAY, metrics);
  const { consumer } = shop.contract;
  expect(metrics.read().counters).toEqual([
    { name: "mesh.dead_letter.discarded", points: [[{ consumer }, 1]] },
    { name: "mesh.dead_letter.replayed", points: [[{ consumer }, 2]] },
  ]);
  await shop.untilEffects(3);
  expect(await shop.effects("a")).toEqual([1, 3, 4]);
  // The key is live again.
  await shop.move("a", 5);
  await shop.untilEffects(4);
  expect(await shop.effects("a")).toEqual([1, 3, 4, 5]);
  const [discarded] = await records(shop);
  expect(discarded).toMatchObject({
    action: "discard",
    headers: { "ce-keyseq": "2", "dlq-reason": "permanent" },
  });
});

/** The same broker, whose n-th request from now on fails, with the request sent or not. */
function failingAt(online: Online, n: number, isSent: boolean): Online {
  let requests = 0;
  const connection = new Proxy(online.connection, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (name !== "request") return value.bind(target);
      return async (...args: unknown[]) => {
        const isFailing = ++requests === n;
        if (isFailing && !isSent) throw new Error("crash");
        const answer = await value.apply(target, args);
        if (isFailing) throw new Error("crash");
        return answer;
      };
    },
  });
  return { ...online, connection };
}

test("after a crash at any step, settling again settles each letter once", async () => {
  const { shop, mend, online } = await poisonedShop();
  const letters = await lettersOf(shop, online);
  const [poison] = letters;
  mend();
  let crashes = 0;
  for (const isSent of [false, true]) {
    for (let at = 1; ; at++) {
      try {
        // The last one completes: by then each request of the way has failed once, before and after it was sent.
        await settleAll(failingAt(online, at, isSent), [poison as BuriedLetter]);
        break;
      } catch (error) {
        expect(error).toMatchObject({ message: "crash" });
        crashes++;
      }
    }
  }
  expect(crashes).toBeGreaterThan(6);
  await shop.untilEffects(2);
  await until(async () => (await lettersOf(shop, online)).length === letters.length - 1);
  expect(await replays(shop)).toHaveLength(1);
  expect(await records(shop)).toHaveLength(1);
  expect(await shop.effects("a")).toEqual([1, 2]);
});

test("letters that others have settled meanwhile are counted, and nothing else", async () => {
  const { shop, mend, online } = await poisonedShop();
  mend();
  const letters = await lettersOf(shop, online);
  await settleAll(online, letters);
  expect(await settleAll(online, letters)).toEqual({ matched: 3, done: 0, gone: 3 });
  expect(await replays(shop)).toHaveLength(3);
});

test("no more are sent a second than were asked for", async () => {
  const { shop, mend, online } = await poisonedShop();
  mend();
  const letters = await lettersOf(shop, online);
  const sleeps: number[] = [];
  const clock = {
    now: () => 0,
    date: () => new Date(),
    sleep: async (delayMs: number) => void sleeps.push(delayMs),
    after: () => () => {},
  };
  await Array.fromAsync(
    settleDeadLetters(online, letters, { ...REPLAY, ratePerSecond: 4 }, { signal, clock }),
  );
  expect(sleeps).toEqual([0, 250, 500]);
});

import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { transaction } from "../store/transaction.ts";
import { testBroker } from "../testing/broker.ts";
import { type ToyShop, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { type AskResend, LostHistory, type LostRange } from "./lost-history.ts";
import { resend } from "./resend.ts";
import { DEAD_LETTERS } from "./streams.ts";

const broker = await testBroker();
const lost: LostRange = { stream: "EVT_TOY", key: "a", fromSeq: 2, toSeq: 3 };

test("the owner is asked once, and what it promises is waited for, but not for ever", async () => {
  const asked: LostRange[] = [];
  const history = new LostHistory(async (range) => asked.push(range) > 0, silentLog);
  for (const deliveries of [7, 8, 106]) expect(await history.canStillCome(lost, deliveries)).toBe(true);
  expect(await history.canStillCome(lost, 107)).toBe(false);
  expect(asked).toEqual([lost]);
  expect(await history.canStillCome({ ...lost, key: "b" }, 107)).toBe(true);
});

test("what the owner does not have any more is not waited for", async () => {
  const history = new LostHistory(async () => false, silentLog);
  expect(await history.canStillCome(lost, 1)).toBe(false);
});

test("an owner that cannot be asked is asked again", async () => {
  let asked = 0;
  const history = new LostHistory(async () => {
    if (++asked < 3) throw new Error("away");
    return false;
  }, silentLog);
  const answers = [];
  for (const deliveries of [1, 2, 3]) answers.push(await history.canStillCome(lost, deliveries));
  expect(answers).toEqual([true, true, false]);
});

/** A consumer that was away for longer than the stream keeps what it missed: 2 and 3 of four events. */
async function returned(ask: (shop: ToyShop) => AskResend): Promise<ToyShop> {
  const shop = await toyShop();
  shop.relay();
  shop.relay(DEAD_LETTERS);
  const first = shop.consume();
  await shop.move("a", 1);
  await shop.untilEffects(1);
  await shop.untilConsumed();
  await first.stop();
  for (const n of [2, 3, 4]) await shop.move("a", n);
  const { stream } = shop.contract;
  await until(async () => (await shop.stored(stream)).length === 4);
  const manager = await shop.manager();
  await manager.streams.purge(stream, { seq: 4 });
  // A broker knows duplicates of what it holds only, once it has started anew.
  await broker.stop();
  await broker.start();
  shop.consume(undefined, { resend: ask(shop) });
  return shop;
}

test("a consumer that was away for too long gets what it has missed from the owner, in order", async () => {
  const asked: LostRange[] = [];
  const shop = await returned(({ sql }) => async (range) => {
    asked.push(range);
    return (await transaction(sql, (tx) => resend(tx, range))) !== undefined;
  });
  await shop.untilEffects(4);
  await shop.untilConsumed();
  expect(await shop.effects("a")).toEqual([1, 2, 3, 4]);
  expect(asked).toEqual([{ stream: shop.contract.stream, key: "a", fromSeq: 2, toSeq: 3 }]);
  expect(await shop.sql`SELECT 1 FROM outbox WHERE stream = 'DLQ'`).toHaveLength(0);
});

test("what the owner does not have any more stops the key, with a dead letter that says so", async () => {
  const shop = await returned(() => async () => false);
  const [letter] = await shop.deadLetters(1);
  expect(letter?.headers).toMatchObject({ "dlq-reason": "history_lost", "ce-keyseq": "4" });
  expect(await shop.effects("a")).toEqual([1]);
});

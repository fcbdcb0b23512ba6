import { fromBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { PermanentError } from "../core/errors.ts";
import { transaction } from "../store/transaction.ts";
import { testBroker } from "../testing/broker.ts";
import { toyPayload } from "../testing/toy-messages.ts";
import { type StoredMessage, toyShop } from "../testing/toy-shop.ts";
import { until } from "../testing/until.ts";
import { publish } from "./publish.ts";
import { DEAD_LETTERS, ensureStream, REPLAYS } from "./streams.ts";
import { replaySubject } from "./subject.ts";

await testBroker();

// Field 900, a text: "later". No version of the toys has it yet.
const FROM_TOMORROW = [0xa2, 0x38, 0x05, ...Buffer.from("later")];

test("what a newer publisher says stays in an event, byte for byte, from outbox to stream to dead letter and back", async () => {
  const shop = await toyShop();
  const { Moved, consumer, stream } = shop.contract;
  const said = Uint8Array.from([
    ...toyPayload(shop.contract, { key: "a", keySeq: 1, seq: 1, prevSeq: 0 }),
    ...FROM_TOMORROW,
  ]);
  const manager = await shop.manager();
  await ensureStream(manager, REPLAYS);
  shop.relay();
  shop.relay(DEAD_LETTERS);

  // A service of today that passes on what it has read.
  await transaction(shop.sql, (tx) => publish(tx, Moved, fromBinary(Moved, said)));
  const [stored] = (await until(async () => {
    const messages = await shop.stored(stream).catch(() => []);
    return messages.length > 0 && messages;
  })) as [StoredMessage];
  expect(Buffer.from(stored.data)).toEqual(Buffer.from(said));

  let isBroken = true;
  const seen: unknown[] = [];
  shop.consume(async (_tx, event) => {
    if (isBroken) throw new PermanentError("not today");
    seen.push(event);
  });
  const [letter] = (await shop.deadLetters(1)) as [StoredMessage];
  expect(Buffer.from(letter.data)).toEqual(Buffer.from(said));

  isBroken = false;
  const headers = Object.fromEntries(
    Object.entries(letter.headers).filter(([name]) => !name.startsWith("Nats-")),
  );
  const wanted = { "replay-action": "retry", "replay-dlq-seq": String(letter.seq) };
  await shop.send(replaySubject(consumer, "a"), { ...headers, ...wanted }, letter.data);
  await shop.untilEffects(1);
  expect(seen).toMatchObject([{ toyId: "a", $unknown: [{ no: 900 }] }]);
});

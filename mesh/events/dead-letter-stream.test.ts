import { expect, test } from "vitest";
import { PermanentError } from "../core/errors.ts";
import { newId } from "../core/ids.ts";
import { toyShop } from "../testing/toy-shop.ts";
import { readDeadLetter, readDeadLetters } from "./dead-letter-stream.ts";
import { DEAD_LETTERS, ensureStream } from "./streams.ts";

const signal = new AbortController().signal;

test("dead letters are found by consumer, reason, type, key and time", async () => {
  const shop = await toyShop();
  const { contract } = shop;
  shop.relay();
  shop.relay(DEAD_LETTERS);
  shop.consume(async () => {
    throw new PermanentError("50% é");
  });
  await shop.move("a", 1);
  await shop.move("a", 2);
  await shop.move("b", 1);
  await shop.deadLetters(3);
  const online = await shop.nats.online(signal);
  const find = async (wanted: object, afterSeq = 0) => {
    const filter = {
      consumer: contract.consumer,
      reason: "",
      type: "",
      key: "",
      since: undefined,
      ...wanted,
    };
    const found = await Array.fromAsync(readDeadLetters(online, { filter, afterSeq, signal }));
    return found.map(({ key, keySeq }) => `${key}${keySeq}`);
  };

  const all = await find({});
  expect(all.toSorted()).toEqual(["a1", "a2", "b1"]);
  expect(await find({ consumer: contract.aggregate })).toEqual(all);
  expect(await find({ consumer: "somebody__else" })).toEqual([]);
  expect(await find({ reason: "blocked" })).toEqual(["a2"]);
  expect(await find({ key: "b" })).toEqual(["b1"]);
  expect(await find({ type: "Moved" })).toEqual(all);
  expect(await find({ type: contract.Painted.typeName })).toEqual([]);
  expect(await find({ since: new Date(Date.now() + 3_600_000) })).toEqual([]);
  expect(await find({ since: new Date(Date.now() - 3_600_000) })).toEqual(all);

  const filter = { consumer: contract.consumer, reason: "permanent", type: "", key: "a", since: undefined };
  const [first] = await Array.fromAsync(readDeadLetters(online, { filter, afterSeq: 0, signal }));
  expect(await find({}, first?.seq)).not.toContain("a1");
  const whole = await readDeadLetter(online, first?.seq ?? 0, signal);
  expect(whole?.letter).toEqual(first);
  expect(whole?.letter).toMatchObject({
    type: contract.Moved.typeName,
    errorType: "PermanentError",
    errorMessage: "50% é",
    errorStack: expect.stringContaining("dead-letter-stream.test.ts"),
    attempts: 1,
    deaths: 1,
    stream: contract.stream,
  });
  expect(whole?.payload.length).toBeGreaterThan(0);
});

test("what is in the stream and is no dead letter of ours can be seen all the same", async () => {
  const shop = await toyShop();
  await ensureStream(await shop.manager(), DEAD_LETTERS);
  const service = `stranger-${newId()}`;
  await shop.send(`dlq.${service}.x.odd`, { "ce-key": "%", "dlq-error-message": "%zz" }, new Uint8Array([1]));
  const online = await shop.nats.online(signal);
  const filter = { consumer: service, reason: "", type: "", key: "", since: undefined };
  expect(await Array.fromAsync(readDeadLetters(online, { filter, afterSeq: 0, signal }))).toMatchObject([
    { consumer: `${service}__x`, reason: "odd", type: "", errorMessage: "%zz", deadTime: new Date(0) },
  ]);
});

test("a letter that is not there is none", async () => {
  const shop = await toyShop();
  await ensureStream(await shop.manager(), DEAD_LETTERS);
  expect(await readDeadLetter(await shop.nats.online(signal), 999_999, signal)).toBeUndefined();
});

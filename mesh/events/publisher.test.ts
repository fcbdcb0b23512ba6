import { jetstreamManager } from "@nats-io/jetstream";
import { headers } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { silentLog } from "../core/log.ts";
import { openNats } from "../nats/connection.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { until } from "../testing/until.ts";
import { type Outcome, openPublisher } from "./publisher.ts";

const broker = await testBroker();
const never = new AbortController().signal;
const LONG_MS = 600_000;

let streams = 0;
/** A stream of its own, and a way to publish to it. */
async function openStream() {
  const nats = openNats({ url: broker.url, name: "test", log: silentLog });
  atEnd(() => nats.close());
  const online = await nats.online(never);
  const { streams: all } = await jetstreamManager(online.connection, { checkAPI: false });
  const name = `PUBLISHED_${++streams}`;
  await all.add({ name, subjects: [name], max_msg_size: 2_000 });
  const publisher = openPublisher(online);
  atEnd(async () => publisher.close());
  const message = (id: string, bytes = 1) => {
    const all = headers();
    all.append("Nats-Msg-Id", id);
    return { subject: name, headers: all, payload: new Uint8Array(bytes) };
  };
  return { name, online, all, publisher, message };
}

const said = (outcome: Outcome) => ("ack" in outcome ? outcome.ack : (outcome.error as Error).name);

test("more messages than may be on their way at once are all stored, each where it says", async () => {
  const { publisher, message, all, name } = await openStream();
  const outcomes = await publisher.publishAll(1_000, (at) => message(`m-${at}`), LONG_MS);
  expect(outcomes.map(said)).toEqual(
    Array.from({ length: 1_000 }, (_, at) => ({ seq: at + 1, isDuplicate: false })),
  );
  expect((await all.info(name)).state.messages).toBe(1_000);
});

test("each message has an outcome of its own: stored, known already, refused by the broker or by the client", async () => {
  const { publisher, message } = await openStream();
  await publisher.publishAll(1, () => message("known"), LONG_MS);
  const messages = [
    message("new"),
    message("known"),
    message("too large for the stream", 3_000),
    { ...message("nowhere"), subject: "nobody.listens" },
    { ...message("no subject"), subject: "" },
    message("last"),
  ];
  const outcomes = await publisher.publishAll(
    messages.length,
    (at) => messages[at] as (typeof messages)[number],
    LONG_MS,
  );
  expect(outcomes.map(said)).toEqual([
    { seq: 2, isDuplicate: false },
    { seq: 1, isDuplicate: true },
    "JetStreamApiError",
    "NoResponders",
    "InvalidSubjectError",
    { seq: 3, isDuplicate: false },
  ]);
  expect((outcomes[2] as { error: { status: number } }).error.status).toBe(400);
});

test("when the broker says nothing for too long, what it has not answered for has failed", async () => {
  const { publisher, message, online } = await openStream();
  // One who takes the message and does not answer.
  online.connection.subscribe("silence", { callback: () => {} });
  const messages = [message("stored"), { ...message("lost"), subject: "silence" }];
  // So long that the answer to the first is here before, however busy the machine.
  const outcomes = await publisher.publishAll(2, (at) => messages[at] as (typeof messages)[number], 2_000);
  expect(outcomes.map(said)).toEqual([{ seq: 1, isDuplicate: false }, "TimeoutError"]);
  // And it can be used again.
  const again = await publisher.publishAll(1, () => message("next"), LONG_MS);
  expect(again.map(said)).toEqual([{ seq: 2, isDuplicate: false }]);
});

test("when the connection is lost all that waits fails at once, and what comes after it too", async () => {
  const { publisher, message, online } = await openStream();
  await publisher.publishAll(1, () => message("before"), LONG_MS);
  broker.kill("SIGSTOP");
  const before = online.connection.stats().outMsgs;
  const outcomes = publisher.publishAll(600, (at) => message(`m-${at}`), LONG_MS);
  await until(() => online.connection.stats().outMsgs > before);
  broker.kill("SIGKILL");
  expect(new Set((await outcomes).map(said))).toEqual(new Set(["AbortError"]));
  const after = await publisher.publishAll(2, (at) => message(`after-${at}`), LONG_MS);
  expect(after.map(said)).toEqual(["AbortError", "AbortError"]);
});

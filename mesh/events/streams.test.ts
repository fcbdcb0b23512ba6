import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { streamContract } from "../contract/event.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { generatedFiles } from "../testing/shop-contracts.ts";
import { toys } from "../testing/toys.ts";
import { DEAD_LETTERS, ensureStream, eventStream, isMissing } from "./streams.ts";

const { url } = await testBroker();
const connection = await connect({ servers: url });
atEnd(() => connection.close());
const manager = await jetstreamManager(connection);

test("a stream of events is made as its contract says", async () => {
  const { Moved, stream, aggregate } = toys();
  await ensureStream(manager, eventStream(streamContract(Moved)));
  expect((await manager.streams.info(stream)).config).toMatchObject({
    subjects: [`evt.${aggregate}.>`],
    retention: "limits",
    storage: "file",
    max_age: 7 * 86_400e9,
    max_bytes: 2 ** 24,
    max_msg_size: 512 * 1024,
    duplicate_window: 600e9,
    discard: "old",
    num_replicas: 1,
    allow_direct: true,
  });
});

test("the stream of dead letters refuses rather than forgets when it is full", async () => {
  await ensureStream(manager, DEAD_LETTERS);
  expect((await manager.streams.info("DLQ")).config).toMatchObject({
    subjects: ["dlq.>"],
    max_age: 30 * 86_400e9,
    discard: "new",
  });
});

test("a stream that is there keeps the limits that an operator gave it", async () => {
  const { Moved, stream, aggregate } = toys();
  await manager.streams.add({
    name: stream,
    subjects: [`evt.${aggregate}.>`],
    max_bytes: 2 ** 20,
    max_age: 3_600e9,
  });
  await ensureStream(manager, eventStream(streamContract(Moved)));
  expect((await manager.streams.info(stream)).config).toMatchObject({ max_bytes: 2 ** 20, max_age: 3_600e9 });
});

test("a stream that holds other subjects is refused, by name", async () => {
  const { Moved, stream, aggregate } = toys();
  await manager.streams.add({ name: stream, subjects: [`other.${aggregate}.>`], max_bytes: 2 ** 20 });
  await expect(ensureStream(manager, eventStream(streamContract(Moved)))).rejects.toThrow(
    `the stream ${stream} holds other.${aggregate}.>, not evt.${aggregate}.>`,
  );
});

test("two that make the same stream at the same time both succeed", async () => {
  const plan = eventStream(streamContract(toys().Moved));
  await Promise.all([ensureStream(manager, plan), ensureStream(manager, plan), ensureStream(manager, plan)]);
});

test("a stream or a consumer that is not there is known by its error", async () => {
  const { Moved, stream } = toys();
  const missing = await manager.streams.info(stream).catch((error) => error);
  expect(isMissing(missing)).toBe(true);
  await ensureStream(manager, eventStream(streamContract(Moved)));
  expect(isMissing(await manager.consumers.info(stream, "nobody").catch((error) => error))).toBe(true);
  expect(isMissing(new Error("stream not found"))).toBe(false);
});

test("all streams of the shop together take no more of a disk than a small machine has", async () => {
  const files = [
    ...(await generatedFiles("shop", "_event_pb.ts")),
    ...(await generatedFiles("shop", "_command_pb.ts")),
  ];
  const messages = files.flatMap((file) => file.messages.slice(0, 1));
  const plans = [DEAD_LETTERS, ...messages.map((message) => eventStream(streamContract(message)))];
  expect(plans.map(({ name }) => name)).toEqual(expect.arrayContaining(["EVT_ORDER", "CMD_NOTIFICATION"]));
  // The broker sets aside what a stream may grow to.
  expect(plans.reduce((sum, { maxBytes }) => sum + maxBytes, 0)).toBeLessThanOrEqual(2 * 2 ** 30);
});

import {
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { streamContract } from "../contract/event.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { recordingLog } from "../testing/log.ts";
import { generatedFiles } from "../testing/shop-contracts.ts";
import { toys } from "../testing/toys.ts";
import { DEAD_LETTERS, ensureStream, eventStream, growStream, isMissing } from "./streams.ts";

const { url } = await testBroker();
const connection = await connect({ servers: url });
atEnd(() => connection.close());
const manager = await jetstreamManager(connection);

/** The plan of a stream, and what makes it as an operator or an earlier release has left it. */
function there() {
  const { Moved, stream, aggregate } = toys();
  return {
    plan: eventStream(streamContract(Moved)),
    stream,
    add: (config: Partial<StreamConfig>) =>
      manager.streams.add({ name: stream, subjects: [`evt.${aggregate}.>`], ...config }),
  };
}

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

test("a stream that is there stays as it is for who only writes to it", async () => {
  const { plan, stream, add } = there();
  await add({ max_bytes: 2 ** 20, max_age: 3_600e9 });
  await ensureStream(manager, plan, 3);
  const { config } = await manager.streams.info(stream);
  expect(config).toMatchObject({ max_bytes: 2 ** 20, max_age: 3_600e9, num_replicas: 1 });
});

test("a stream that is there gets what it lacks of its contract, and keeps what it has more of", async () => {
  const { plan, stream, add } = there();
  await add({ max_bytes: 2 ** 20, max_age: 30 * 86_400e9, duplicate_window: 60e9, max_msg_size: 1_024 });
  const { log, lines } = recordingLog();
  await growStream(manager, plan, { log });
  const { config } = await manager.streams.info(stream);
  expect(config).toMatchObject({
    max_bytes: 2 ** 24,
    max_age: 30 * 86_400e9,
    duplicate_window: 600e9,
    max_msg_size: 512 * 1024,
  });
  expect(lines).toMatchObject([{ msg: "the stream was given what its contract says", max_bytes: 2 ** 24 }]);
  await growStream(manager, plan, { log });
  expect(lines).toHaveLength(1);
});

test("what is not limited is not taken for less", async () => {
  const { plan, stream, add } = there();
  await add({ max_bytes: -1, max_age: 0, duplicate_window: 600e9 });
  const { log, lines } = recordingLog();
  await growStream(manager, plan, { log });
  expect((await manager.streams.info(stream)).config).toMatchObject({ max_bytes: -1, max_age: 0 });
  expect(lines).toEqual([]);
});

test("what the broker does not do is said, and the stream is used without it", async () => {
  const { plan, stream, add } = there();
  await add({ max_bytes: 2 ** 20, storage: StorageType.Memory });
  const { log, lines } = recordingLog();
  // There is one node.
  await growStream(manager, plan, { leastReplicas: 3, log });
  expect((await manager.streams.info(stream)).config).toMatchObject({ max_bytes: 2 ** 24 });
  expect(lines.filter(({ level }) => level === 50)).toMatchObject([
    { stream, has: ["num_replicas 1, not 3", "storage memory, not file"] },
  ]);
});

test("a limit that the broker refuses is said, with its reason", async () => {
  const { plan, stream, add } = there();
  await add({ max_bytes: 2 ** 20, duplicate_window: 600e9 });
  const { log, lines } = recordingLog();
  // More than any disk has.
  await growStream(manager, { ...plan, maxBytes: 2 ** 52 }, { log });
  expect(lines.filter(({ level }) => level === 50)).toMatchObject([
    { stream, error: expect.stringContaining("insufficient storage") },
    { stream, has: [`max_bytes ${2 ** 20}, not ${2 ** 52}`] },
  ]);
});

test("a new stream that as many nodes cannot keep is not made", async () => {
  const { plan, stream } = there();
  await expect(ensureStream(manager, plan, 3)).rejects.toThrow("replicas");
  expect(isMissing(await manager.streams.info(stream).catch((error) => error))).toBe(true);
});

test("what a broker that is older leaves out of a new stream is said", async () => {
  const { plan, stream } = there();
  const { log, lines } = recordingLog();
  const { info, add, update } = manager.streams;
  // It does otherwise than it was asked to, and does not say so.
  const streams = {
    ...{ info: info.bind(manager.streams), update: update.bind(manager.streams) },
    add: (config: Parameters<typeof add>[0]) =>
      manager.streams.add({ ...config, discard: DiscardPolicy.New }),
  };
  await growStream({ streams } as unknown as JetStreamManager, plan, { log });
  expect(lines).toMatchObject([{ level: 50, stream, has: ["discard new, not old"] }]);
});

test("a stream that forgets what somebody has acknowledged is refused", async () => {
  const { plan, stream, add } = there();
  await add({ max_bytes: 2 ** 20, retention: RetentionPolicy.Workqueue });
  await expect(ensureStream(manager, plan)).rejects.toThrow(
    `the stream ${stream} has the retention workqueue, not limits`,
  );
});

test("two that make the same stream at the same time, each with other limits, both succeed", async () => {
  const { plan } = there();
  const earlier = { ...plan, maxAgeMs: 3_600_000 };
  for (let round = 0; round < 5; round++) {
    await Promise.all([plan, earlier, plan, earlier].map((each) => ensureStream(manager, each)));
    await manager.streams.delete(plan.name);
  }
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

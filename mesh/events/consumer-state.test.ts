import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { ensureConsumer } from "./consumer-state.ts";

const { url } = await testBroker();
const connection = await connect({ servers: url });
atEnd(() => connection.close());
const manager = await jetstreamManager(connection);
const config = { durable_name: "toy__moves", ack_policy: AckPolicy.Explicit };

/** A stream whose consumer has acknowledged its three messages. */
async function consumed(stream: string): Promise<void> {
  await manager.streams.add({ name: stream, subjects: [`${stream}.>`], max_bytes: 2 ** 20 });
  const client = jetstream(connection);
  for (let n = 1; n <= 3; n++) await client.publish(`${stream}.x`, new Uint8Array([n]));
  expect(await ensureConsumer(manager, stream, config)).toBe(false);
  const consumer = await client.consumers.get(stream, config.durable_name);
  for await (const message of await consumer.fetch({ max_messages: 3 })) await message.ackAck();
}

test("a consumer that is as far as its stream stays as it is", async () => {
  await consumed("WHOLE");
  expect(await ensureConsumer(manager, "WHOLE", config)).toBe(false);
  const { ack_floor, num_pending } = await manager.consumers.info("WHOLE", config.durable_name);
  expect([ack_floor.stream_seq, num_pending]).toEqual([3, 0]);
});

test("a consumer that is ahead of its stream begins anew, so that nothing of what comes is skipped", async () => {
  await consumed("TAIL");
  // The fault: the broker has lost the end of the stream. Newer servers would mend that themselves, older ones do not.
  const streams = {
    info: async () => {
      const info = await manager.streams.info("TAIL");
      return { ...info, state: { ...info.state, last_seq: 2 } };
    },
  };
  const faulty = { consumers: manager.consumers, streams } as unknown as typeof manager;
  expect(await ensureConsumer(faulty, "TAIL", config)).toBe(true);
  const { ack_floor, num_pending } = await manager.consumers.info("TAIL", config.durable_name);
  expect([ack_floor.stream_seq, num_pending]).toEqual([0, 3]);
});

test("a consumer that is there follows its configuration", async () => {
  await consumed("CHANGED");
  expect(await ensureConsumer(manager, "CHANGED", { ...config, ack_wait: nanos(7_000) })).toBe(false);
  const info = await manager.consumers.info("CHANGED", config.durable_name);
  expect([info.config.ack_wait, info.ack_floor.stream_seq]).toEqual([nanos(7_000), 3]);
});

import {
  type ConsumerConfig,
  type ConsumerInfo,
  JetStreamApiError,
  type JetStreamManager,
} from "@nats-io/jetstream";

/** A durable consumer as it should be. */
export type DurableConfig = Partial<ConsumerConfig> & { readonly durable_name: string };

const ALREADY_EXISTS = 10_148;

/**
 * Makes a durable consumer if it is not there, with another configuration if it had one, and anew if it is ahead of its stream: a broker that has lost the end of a
 * stream, and not the consumer's state, would skip as many new messages. Then all is delivered again, and what was
 * handled is known. Resolves to true if it was made anew.
 */
export async function ensureConsumer(
  manager: JetStreamManager,
  stream: string,
  config: DurableConfig,
): Promise<boolean> {
  // The consumer first: messages that are delivered between the questions would look like a loss.
  const { delivered, ack_floor } = await addOrUpdate(manager, stream, config);
  const { state } = await manager.streams.info(stream);
  if (Math.max(delivered.stream_seq, ack_floor.stream_seq) <= state.last_seq) return false;
  await manager.consumers.delete(stream, config.durable_name);
  await manager.consumers.add(stream, config);
  return true;
}

async function addOrUpdate(
  { consumers }: JetStreamManager,
  stream: string,
  config: DurableConfig,
): Promise<ConsumerInfo> {
  try {
    return await consumers.add(stream, config);
  } catch (error) {
    if (!(error instanceof JetStreamApiError && error.code === ALREADY_EXISTS)) throw error;
    return consumers.update(stream, config.durable_name, config);
  }
}

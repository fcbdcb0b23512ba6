import { type ConsumerInfo, jetstreamManager } from "@nats-io/jetstream";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";

const MOST = 10_000;

/** Yields the durable consumers of all streams of messages, stream by stream, as the broker sees them. */
export async function* listConsumers(
  { connection, lost }: Online,
  signal: AbortSignal,
): AsyncGenerator<ConsumerInfo> {
  const until = AbortSignal.any([signal, lost]);
  const manager = await raceSignal(jetstreamManager(connection, { checkAPI: false }), until);
  let left = MOST;
  const names = await raceSignal(namesOf(manager.streams.names()), until);
  for (const stream of names.filter((name) => /^(EVT_|CMD_|REPLAY$)/.test(name)).sort()) {
    const lister = manager.consumers.list(stream);
    for (;;) {
      const page = await raceSignal(lister.next(), until);
      const durable = page.filter(({ config }) => config.durable_name !== undefined);
      yield* durable.slice(0, left);
      left -= durable.length;
      if (page.length === 0 || left <= 0) break;
    }
  }
}

async function namesOf(lister: AsyncIterable<string>): Promise<string[]> {
  return Array.fromAsync(lister);
}

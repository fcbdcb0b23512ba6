import { jetstreamManager } from "@nats-io/jetstream";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { growStream, SHARED_STREAMS } from "./streams.ts";

/** Gives the streams that all services share what they lack, as {@link growStream} does. Rejects if the signal aborts. */
export async function growShared(
  { connection, replicas: leastReplicas }: Online,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const manager = await raceSignal(jetstreamManager(connection, { checkAPI: false }), signal);
  for (const plan of SHARED_STREAMS)
    await raceSignal(growStream(manager, plan, { leastReplicas, log }), signal);
}

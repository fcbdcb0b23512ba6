import { jetstreamManager } from "@nats-io/jetstream";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { listConsumers } from "./list-consumers.ts";

/** The first version of nats-server that pauses consumers; an older one does not even answer. */
const SINCE = [2, 11] as const;

/**
 * Has the broker give a consumer nothing until then; without a time it goes on. Refuses with CONSUMER_NOT_FOUND, and at a
 * broker that is too old with BROKER_TOO_OLD. The pause outlives restarts of the consumer and of the broker.
 */
export async function pauseConsumer(
  online: Online,
  consumer: string,
  pauseUntil: Date | undefined,
  signal: AbortSignal,
): Promise<void> {
  const version = online.connection.info?.version ?? "";
  if (!canPause(version)) {
    const text = `nats-server ${version} cannot pause consumers; ${SINCE.join(".")} and later can`;
    throw refuseByMesh(MeshError.BROKER_TOO_OLD, text, { metadata: { version } });
  }
  const all = await Array.fromAsync(listConsumers(online, signal));
  const found = all.find(({ name }) => name === consumer);
  if (!found)
    throw refuseByMesh(MeshError.CONSUMER_NOT_FOUND, `there is no consumer ${consumer}`, {
      metadata: { consumer },
    });
  const { consumers } = await jetstreamManager(online.connection, { checkAPI: false });
  const asked = pauseUntil
    ? consumers.pause(found.stream_name, consumer, pauseUntil)
    : consumers.resume(found.stream_name, consumer);
  await raceSignal(asked, AbortSignal.any([signal, online.lost]));
}

/** Whether a nats-server of this version can pause consumers. */
export function canPause(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > SINCE[0] || (major === SINCE[0] && minor >= SINCE[1]);
}

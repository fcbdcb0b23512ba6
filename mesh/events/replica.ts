import type { DescService } from "@bufbuild/protobuf";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { subscriptionContract } from "../contract/event.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Sql } from "../store/connect.ts";
import { liveBuild } from "../store/live-build.ts";
import { cursorOf } from "./gate.ts";
import { consumerName } from "./handlers.ts";

/** Which replica, and how much of it a reader has to find. */
export interface ReplicaVersion {
  /** The service that keeps the replica, and its subscription that feeds it: STRICT or LATEST. */
  readonly service: DescService;
  readonly subscription: string;
  readonly key: string;
  /** What `publish` resolved with when the owner wrote; 0 asks for nothing. */
  readonly version: number;
}

/** How long is waited. */
export interface ReplicaWait {
  readonly sql: Sql;
  /** Milliseconds. Defaults to 500. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

const POLL_MS = { first: 5, most: 50 };
const RETRY_DELAY_MS = 500;

/**
 * Waits until a replica has heard of a version, so that who has written something at its owner can read it here (read
 * your writes). Throws REPLICA_BEHIND, with a `RetryInfo`, if it has not in time.
 */
export async function untilReplicaHas(
  { service, subscription, key, version }: ReplicaVersion,
  { sql, withinMs = 500, signal, clock = systemClock }: ReplicaWait,
): Promise<void> {
  if (version === 0) return;
  const { stream } = subscriptionContract(service, subscription);
  const untilMs = clock.now() + withinMs;
  for (let pollMs = POLL_MS.first; ; pollMs = Math.min(pollMs * 2, POLL_MS.most)) {
    const consumer = consumerName(service, subscription, await liveBuild(sql, subscription));
    const lastSeq = (await cursorOf(sql, { consumer, stream, key, seq: version }))?.lastSeq ?? 0;
    if (lastSeq >= version) return;
    if (clock.now() >= untilMs || signal?.aborted) throw behind(lastSeq, version);
    await clock.sleep(Math.min(pollMs, untilMs - clock.now()), signal);
  }
}

function behind(known: number, asked: number) {
  return refuseByMesh(MeshError.REPLICA_BEHIND, `version ${known} is known here, not ${asked} yet`, {
    metadata: { version: String(known) },
    retryDelayMs: RETRY_DELAY_MS,
  });
}

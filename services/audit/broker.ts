import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../mesh/contract/reasons.ts";
import { AppError } from "../../mesh/core/errors.ts";
import type { Nats, Online } from "../../mesh/nats/connection.ts";

const WAIT_MS = 2_000;

/** Yields what is got from the broker. If it is away, or goes away meanwhile: UNAVAILABLE, rather than a wait for it. */
export async function* fromBroker<T>(
  nats: Nats,
  signal: AbortSignal,
  get: (online: Online) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const online = await nats.online(AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)])).catch((cause) => {
    throw isAway(cause);
  });
  try {
    yield* get(online);
  } catch (error) {
    if (error instanceof AppError || signal.aborted) throw error;
    const isLost = online.lost.aborted || (error instanceof Error && error.name === "TimeoutError");
    throw isLost ? isAway(error) : error;
  }
}

function isAway(cause: unknown): AppError {
  return refuseByMesh(MeshError.DEPENDENCY_UNAVAILABLE, "the broker does not answer", { cause });
}

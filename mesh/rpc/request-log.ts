import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { toConnectError } from "./errors.ts";

/**
 * Writes a line for each call: method, code, milliseconds. What the service itself did wrong is an error, with the
 * cause; what its caller did wrong is not. Health and reflection are for debugging only. Below it every error is as the handler threw it, above it as it leaves.
 */
export function logRequests(log: Log, clock: Clock): Interceptor {
  return (next) => async (request) => {
    const startedMs = clock.now();
    const method = `${request.service.typeName}/${request.method.name}`;
    const ended = (error?: unknown) => {
      const leaving = error === undefined ? undefined : toConnectError(error);
      const code = leaving ? (Code[leaving.code] ?? String(leaving.code)) : "Ok";
      const line = { method, code, ms: Math.round((clock.now() - startedMs) * 10) / 10 };
      if (leaving?.code === Code.Internal || leaving?.code === Code.Unknown) {
        log.error({ ...line, err: leaving.cause ?? leaving }, "call failed");
      } else {
        const level = request.service.typeName.startsWith("grpc.") ? "debug" : "info";
        log[level](leaving ? { ...line, error: leaving.rawMessage, cause: causeOf(leaving) } : line, "call");
      }
      return leaving;
    };
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: watched(response.message, ended) };
      ended();
      return response;
    } catch (error) {
      throw ended(error);
    }
  };
}

/** The message of what lies below an answer like UNAVAILABLE; the caller does not see it. */
function causeOf(leaving: ConnectError): string | undefined {
  const { cause } = leaving;
  const below = cause instanceof Error ? cause.cause : undefined;
  return below instanceof ConnectError ? below.message : below instanceof Error ? below.message : undefined;
}

async function* watched<T>(messages: AsyncIterable<T>, ended: (error?: unknown) => unknown) {
  let failed = false;
  try {
    yield* messages;
  } catch (error) {
    failed = true;
    throw ended(error);
  } finally {
    // Also when the caller leaves a stream, which ends it without an error.
    if (!failed) ended();
  }
}

import type { DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import { toConnectError } from "../errors.ts";

/** A call that is over. */
export interface EndedCall {
  readonly service: DescService;
  readonly method: { readonly name: string };
  readonly ms: number;
  /** As its handler threw it. Undefined if all went well. */
  readonly error?: unknown;
}

/**
 * Writes the line of a call: method, code, milliseconds. What the service itself did wrong is an error, with the cause;
 * what its caller did wrong is not. Health and reflection are for debugging only. Returns the error as it leaves.
 */
export function logCall(log: Log, { service, method, ms, error }: EndedCall): ConnectError | undefined {
  const leaving = error === undefined ? undefined : toConnectError(error);
  const code = leaving ? (Code[leaving.code] ?? String(leaving.code)) : "Ok";
  const line = { method: `${service.typeName}/${method.name}`, code, ms: Math.round(ms * 10) / 10 };
  if (leaving?.code === Code.Internal || leaving?.code === Code.Unknown) {
    log.error({ ...line, err: leaving.cause ?? leaving }, "call failed");
  } else {
    const level = service.typeName.startsWith("grpc.") ? "debug" : "info";
    log[level](leaving ? { ...line, error: leaving.rawMessage, cause: causeOf(leaving) } : line, "call");
  }
  return leaving;
}

/** Writes a line for each call. Below it every error is as the handler threw it, above it as it leaves. */
export function logRequests(log: Log, clock: Clock): Interceptor {
  return (next) => async (request) => {
    const { service, method } = request;
    const startedMs = clock.now();
    const ended = (error?: unknown) => logCall(log, { service, method, ms: clock.now() - startedMs, error });
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

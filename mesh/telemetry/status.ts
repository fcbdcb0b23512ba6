import { Code, ConnectError } from "@connectrpc/connect";
import { AppError } from "../core/errors.ts";

/** The code of a call that went well, which Connect has no name for. */
export const OK = 0;

// By number, as gRPC writes them; one vocabulary for every protocol.
const NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

// What a server itself did wrong; of the others its caller is to blame, or nobody.
const SERVER_FAULTS = new Set<number>([
  Code.Unknown,
  Code.DeadlineExceeded,
  Code.Unimplemented,
  Code.Internal,
  Code.Unavailable,
  Code.DataLoss,
]);

/** The name of a code, as gRPC writes it. */
export function codeName(code: number): string {
  return NAMES[code] ?? "UNKNOWN";
}

/** The code of anything that was thrown. */
export function codeOf(error: unknown): number {
  return isCoded(error) ? error.code : ConnectError.from(error).code;
}

/**
 * The `error.type` of a call: the name of its code, or of the error if that has no code. Undefined if it did not fail:
 * for a client each code but OK is a failure, for a server those that are its own fault.
 */
export function errorType(side: "client" | "server", code: number, error?: unknown): string | undefined {
  if (code === OK || (side === "server" && !SERVER_FAULTS.has(code))) return undefined;
  if (error === undefined || isCoded(error)) return codeName(code);
  return error instanceof Error ? error.name : "_OTHER";
}

/** True if the error says its code itself. */
export function isCoded(error: unknown): error is ConnectError | AppError {
  return error instanceof ConnectError || error instanceof AppError;
}

import type { Delivery } from "../core/delivery.ts";
import { ErrorCode, errorName } from "./error-code.ts";
import type { CutOff } from "./guard.ts";

/** A fault that ends the whole connection: the peer is sent a GOAWAY with the code (RFC 9113, section 5.4.1). */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code: number;
  /** What the peer is cut off for. */
  readonly cutOff: CutOff;

  constructor(code: number, message: string, cutOff: CutOff = "PROTOCOL") {
    super(`${errorName(code)}: ${message}`);
    this.code = code;
    this.cutOff = cutOff;
  }
}

/** Why a stream ended before it was complete, and how far it had come, where that is known. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  /** Of HTTP/2. */
  readonly code: number;
  /** Undefined if the peer ended it for another reason than that it did not look at it. */
  readonly delivery: Delivery | undefined;

  constructor(code: number, message: string, delivery?: Delivery, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.delivery = delivery;
  }
}

/** What the peer's RST_STREAM says. */
export function resetByPeer(code: number): StreamError {
  return code === ErrorCode.REFUSED_STREAM
    ? new StreamError(code, "the peer refused the stream unread", "REFUSED")
    : new StreamError(code, `the peer ended the stream: ${errorName(code)}`);
}

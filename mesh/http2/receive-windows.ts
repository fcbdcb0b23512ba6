import { ErrorCode } from "./error-code.ts";
import { DEFAULT_WINDOW_BYTES, MAX_31_BITS } from "./frame.ts";
import { ConnectionError } from "./http2-error.ts";
import type { Stream } from "./stream.ts";

/** What it takes of a connection to let the peer send more. */
interface WindowUpdates {
  /** On stream 0 for the connection. */
  windowUpdate(streamId: number, bytes: number): void;
}

/**
 * How much the peer may send (RFC 9113, section 5.2). A stream's window opens again when what came has been taken. The
 * connection's is for what comes in one turn, and opens at once: what is held longer, streams bound, and their connection.
 */
export class ReceiveWindows {
  readonly #updates: WindowUpdates;
  readonly #streamWindowBytes: number;
  readonly #connectionWindowBytes: number;
  /** What the peer may send on all streams together. */
  #window: number;
  #cameBytes = 0;

  /** Tells the peer at once if it may send more than what HTTP/2 begins with. */
  constructor(updates: WindowUpdates, streamWindowBytes: number, connectionWindowBytes = 2 ** 22) {
    this.#updates = updates;
    this.#streamWindowBytes = streamWindowBytes;
    this.#connectionWindowBytes = connectionWindowBytes;
    this.#window = Math.max(connectionWindowBytes, DEFAULT_WINDOW_BYTES);
    const more = this.#window - DEFAULT_WINDOW_BYTES;
    if (more > 0) updates.windowUpdate(0, more);
  }

  /** A stream begins. */
  open(stream: Stream): void {
    stream.receiveWindow = this.#streamWindowBytes;
  }

  /** So much has come, on whatever stream. Throws FLOW_CONTROL_ERROR if that is more than it may. */
  came(bytes: number): void {
    this.#window -= bytes;
    if (this.#window < 0) {
      throw new ConnectionError(
        ErrorCode.FLOW_CONTROL_ERROR,
        "more data than the connection's window allows",
      );
    }
    this.#cameBytes += bytes;
    if (this.#cameBytes < this.#connectionWindowBytes / 2) return;
    this.#updates.windowUpdate(0, this.#cameBytes);
    this.#window += this.#cameBytes;
    this.#cameBytes = 0;
  }

  /** So much of that has come on this one. False if that is more than it may. */
  cameOn(stream: Stream, bytes: number): boolean {
    stream.receiveWindow -= bytes;
    return stream.receiveWindow >= 0;
  }

  /** So much of it has been taken: the peer may send as much again, and is told when it is half a window. */
  taken(stream: Stream, bytes: number): void {
    if (stream.isRemoteEnded) return;
    const advanced = Math.min(stream.advancedBytes, bytes);
    stream.advancedBytes -= advanced;
    stream.takenBytes += bytes - advanced;
    if (stream.takenBytes < this.#streamWindowBytes / 2) return;
    this.#letSend(stream, stream.takenBytes);
    stream.takenBytes = 0;
  }

  /** Lets the peer send so many bytes at least, for what cannot be taken before it is whole. */
  widen(stream: Stream, bytes: number): void {
    const missing = Math.min(bytes, MAX_31_BITS) - stream.receiveWindow;
    if (missing <= 0 || stream.isRemoteEnded) return;
    stream.advancedBytes += missing;
    this.#letSend(stream, missing);
  }

  #letSend(stream: Stream, bytes: number): void {
    this.#updates.windowUpdate(stream.id, bytes);
    stream.receiveWindow += bytes;
  }
}

import type { Connection } from "./connection.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import type { HeaderTemplate } from "./hpack/header-template.ts";
import type { StreamError } from "./http2-error.ts";
import type { Unsent } from "./unsent.ts";

/**
 * One stream (RFC 9113, section 5). What is spoken on it extends it: a call is then one object, and what arrives is a method
 * of it. The methods that begin with `on` are the connection's to call, and must not throw.
 */
export abstract class Stream {
  /** 0 until the stream is open. */
  id = 0;
  connection: Connection | undefined;
  /** What the peer lets us send; below 0 after it took some back. */
  sendWindow = 0;
  /** What the peer may send. */
  receiveWindow = 0;
  /** What is held of it until it is whole: see {@link hold}. */
  heldBytes = 0;
  /** What was taken in, and is not the peer's to send again yet. */
  takenBytes = 0;
  /** What the peer was let send beyond its window, and is not given again. */
  advancedBytes = 0;
  /** We have sent END_STREAM. */
  isLocalEnded = false;
  /** The peer has. */
  isRemoteEnded = false;
  /** Headers of the peer have come, so that the next are trailers. */
  hasHeaders = false;
  /** What `content-length` says is still to come; -1 if it says nothing. */
  owedBytes = -1;
  /** What waits for the peer's windows, and the trailers behind it. */
  unsent: Unsent | undefined;

  /** What its {@link progress} was when somebody last looked. */
  lastProgress: number | undefined;

  /** How much has come of what the peer alone can bring to its end, such as a message; undefined if there is no such thing. */
  get progress(): number | undefined {
    return undefined;
  }

  /** Headers have come, or trailers. */
  abstract onHeaders(fields: readonly HeaderField[], isEnd: boolean): void;
  /** Data has come: a part of a chunk that stays as it is. Whoever has done with it says so by {@link taken}. */
  abstract onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void;
  /** The stream is over before it was complete. Nothing comes after. */
  abstract onFailure(error: StreamError): void;
  /** All that had to wait has left, the end too. */
  onDrain(): void {}

  /** True while nobody has ended it before its time, and not both sides at it. */
  get isOpen(): boolean {
    return this.connection !== undefined;
  }

  /** Sends headers, or trailers: these wait behind data that waits. */
  sendHeaders(fields: readonly HeaderField[] | HeaderTemplate, isEnd: boolean): void {
    this.connection?.sendHeaders(this, fields, isEnd);
  }

  /** Sends data, in two parts for who has something to set before it. False: it waits, until {@link onDrain}. */
  send(prefix: Uint8Array, body: Uint8Array, isEnd: boolean): boolean {
    return this.connection?.sendData(this, prefix, body, isEnd) ?? true;
  }

  /** Says how much is held of it now. False: that is more than its peer may make us hold, and what was said before holds. */
  hold(bytes: number): boolean {
    if (this.connection?.hold(bytes - this.heldBytes) === false) return false;
    this.heldBytes = bytes;
    return true;
  }

  /** Ends it at once: nothing of it is sent or heard any more. */
  reset(code: number): void {
    this.connection?.resetStream(this, code);
  }

  /** All has been said that there is to say: a peer that is still sending may stop. */
  stopReading(): void {
    this.connection?.stopReading(this);
  }

  /** Lets the peer send as much again. */
  taken(bytes: number): void {
    this.connection?.returnWindow(this, bytes);
  }
}

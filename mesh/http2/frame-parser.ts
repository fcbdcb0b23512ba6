import { ErrorCode } from "./error-code.ts";
import { Flag, FrameType, MAX_31_BITS, readUint32 } from "./frame.ts";
import type { FrameSink } from "./frame-reader.ts";
import type { Guard } from "./guard.ts";
import { HeaderBlock } from "./header-block.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import { HpackError } from "./hpack/hpack-error.ts";
import { ConnectionError } from "./http2-error.ts";

/** Is told what frames say. The stream is never 0. */
export interface FrameEvents {
  /** Data from `start` to `end` of the chunk. `frameBytes` count against windows: padding too. */
  onData(
    streamId: number,
    chunk: Buffer,
    start: number,
    end: number,
    frameBytes: number,
    isEnd: boolean,
  ): void;
  /** A whole block of headers. Too large: only its beginning is there. */
  onHeaders(streamId: number, fields: readonly HeaderField[], isEnd: boolean, isTooLarge: boolean): void;
  /** Headers have come in part, and more must follow. */
  onHeadersBegun(): void;
  onReset(streamId: number, code: number): void;
  /** The payload of SETTINGS, which must be acknowledged. */
  onSettings(chunk: Buffer, start: number, end: number): void;
  onSettingsAck(): void;
  /** Must be answered with the same. */
  onPing(payload: Buffer): void;
  onPong(payload: number): void;
  onGoaway(lastStreamId: number, code: number): void;
  /** For one stream. */
  onStreamWindow(streamId: number, bytes: number): void;
  /** For all of them together. */
  onConnectionWindow(bytes: number): void;
  /** A frame that is wrong in a way that spoils its stream only (RFC 9113, section 5.4.2). */
  onStreamFault(streamId: number, code: number, message: string): void;
  /** True for a stream that nobody has begun. */
  isIdle(streamId: number): boolean;
  /** Counts something that a peer may not do without end. Throws ConnectionError if it was once too often. */
  guard(guard: Guard): void;
}

/**
 * Checks frames by themselves, whatever their stream is doing, and puts blocks of headers together (RFC 9113, sections 4.3
 * and 6). Throws ConnectionError for what spoils the connection.
 */
export class FrameParser implements FrameSink {
  readonly #events: FrameEvents;
  readonly #decoder: HpackDecoder;
  readonly #maxBlockBytes: number;
  #block: HeaderBlock | undefined;
  #hasSettings = false;
  /** Nothing more is to be read. */
  isClosed = false;

  constructor(events: FrameEvents, maxHeaderListBytes: number) {
    this.#events = events;
    this.#decoder = new HpackDecoder({ maxListBytes: maxHeaderListBytes });
    this.#maxBlockBytes = 2 * maxHeaderListBytes;
  }

  /** A block of headers has come in part. */
  get isWithinHeaders(): boolean {
    return this.#block !== undefined;
  }

  /** The peer's first frame has come. */
  get hasSettings(): boolean {
    return this.#hasSettings;
  }

  onFrame(type: number, flags: number, streamId: number, chunk: Buffer, start: number, end: number): boolean {
    if (this.#block && (type !== FrameType.CONTINUATION || streamId !== this.#block.streamId)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a block of headers was interrupted");
    }
    if (!this.#hasSettings && (type !== FrameType.SETTINGS || flags & Flag.ACK)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS");
    }
    switch (type) {
      case FrameType.DATA:
        this.#data(flags, streamId, chunk, start, end);
        break;
      case FrameType.HEADERS:
        this.#headers(flags, streamId, chunk, start, end);
        break;
      case FrameType.PRIORITY:
        this.#priority(streamId, chunk, start, end);
        break;
      case FrameType.RST_STREAM:
        this.#reset(streamId, chunk, start, end);
        break;
      case FrameType.SETTINGS:
        this.#settings(flags, streamId, chunk, start, end);
        break;
      case FrameType.PUSH_PROMISE:
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which nobody takes");
      case FrameType.PING:
        this.#ping(flags, streamId, chunk, start, end);
        break;
      case FrameType.GOAWAY:
        onConnection(streamId, "GOAWAY");
        if (end - start < 8) throw frameSize("GOAWAY");
        this.#events.onGoaway(readUint32(chunk, start) & MAX_31_BITS, readUint32(chunk, start + 4));
        break;
      case FrameType.WINDOW_UPDATE:
        this.#windowUpdate(streamId, chunk, start, end);
        break;
      case FrameType.CONTINUATION:
        this.#continuation(flags, chunk, start, end);
        break;
      default:
        this.#events.guard("OTHER_FRAMES");
    }
    return !this.isClosed;
  }

  #data(flags: number, streamId: number, chunk: Buffer, frameStart: number, frameEnd: number): void {
    onStream(streamId, "DATA");
    const bytes = frameEnd - frameStart;
    let start = frameStart;
    let end = frameEnd;
    if (flags & Flag.PADDED) {
      end -= paddingOf(chunk, start, bytes);
      start++;
    }
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if (start >= end && !isEnd) this.#events.guard("EMPTY_DATA");
    this.#events.onData(streamId, chunk, start, end, bytes, isEnd);
  }

  #headers(flags: number, streamId: number, chunk: Buffer, frameStart: number, frameEnd: number): void {
    onStream(streamId, "HEADERS");
    let start = frameStart;
    let end = frameEnd;
    if (flags & Flag.PADDED) {
      end -= paddingOf(chunk, start, end - start);
      start++;
    }
    let dependsOn = -1;
    if (flags & Flag.PRIORITY) {
      if (end - start < 5) throw frameSize("HEADERS");
      dependsOn = readUint32(chunk, start) & MAX_31_BITS;
      start += 5;
    }
    const isEnd = (flags & Flag.END_STREAM) !== 0;
    if (flags & Flag.END_HEADERS) {
      this.#wholeBlock(streamId, chunk, start, end, isEnd, dependsOn);
      return;
    }
    this.#events.guard("CONTINUATIONS");
    this.#block = new HeaderBlock(streamId, isEnd, dependsOn, this.#maxBlockBytes);
    this.#block.push(chunk, start, end);
    this.#events.onHeadersBegun();
  }

  #continuation(flags: number, chunk: Buffer, start: number, end: number): void {
    const block = this.#block;
    if (!block) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing");
    this.#events.guard("CONTINUATIONS");
    block.push(chunk, start, end);
    if (!(flags & Flag.END_HEADERS)) return;
    this.#block = undefined;
    const whole = block.whole();
    this.#wholeBlock(block.streamId, whole, 0, whole.length, block.isEnd, block.dependsOn);
  }

  #wholeBlock(
    streamId: number,
    chunk: Buffer,
    start: number,
    end: number,
    isEnd: boolean,
    dependsOn: number,
  ): void {
    const fields = this.#decode(chunk, start, end);
    if (dependsOn === streamId) this.#dependsOnItself(streamId);
    else this.#events.onHeaders(streamId, fields, isEnd, this.#decoder.tooLarge);
  }

  /** Decoded whatever becomes of the stream: else the tables of both sides would differ from then on. */
  #decode(chunk: Buffer, start: number, end: number): readonly HeaderField[] {
    try {
      return this.#decoder.decode(chunk, start, end);
    } catch (error) {
      if (!(error instanceof HpackError)) throw error;
      throw new ConnectionError(ErrorCode.COMPRESSION_ERROR, error.message);
    }
  }

  #priority(streamId: number, chunk: Buffer, start: number, end: number): void {
    onStream(streamId, "PRIORITY");
    this.#events.guard("OTHER_FRAMES");
    if (end - start !== 5) {
      if (this.#events.isIdle(streamId)) throw frameSize("PRIORITY");
      this.#events.onStreamFault(streamId, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong length");
    } else if ((readUint32(chunk, start) & MAX_31_BITS) === streamId) this.#dependsOnItself(streamId);
  }

  #dependsOnItself(streamId: number): void {
    this.#events.onStreamFault(streamId, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself");
  }

  #reset(streamId: number, chunk: Buffer, start: number, end: number): void {
    onStream(streamId, "RST_STREAM");
    if (end - start !== 4) throw frameSize("RST_STREAM");
    this.#notIdle(streamId, "RST_STREAM");
    this.#events.guard("RESETS");
    this.#events.onReset(streamId, readUint32(chunk, start));
  }

  #settings(flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
    onConnection(streamId, "SETTINGS");
    this.#events.guard("SETTINGS");
    if (flags & Flag.ACK) {
      if (end !== start) throw frameSize("SETTINGS with ACK");
      this.#decoder.settingsAcknowledged();
      this.#events.onSettingsAck();
      return;
    }
    this.#hasSettings = true;
    this.#events.onSettings(chunk, start, end);
  }

  #ping(flags: number, streamId: number, chunk: Buffer, start: number, end: number): void {
    onConnection(streamId, "PING");
    if (end - start !== 8) throw frameSize("PING");
    this.#events.guard("PINGS");
    if (flags & Flag.ACK) this.#events.onPong(readUint32(chunk, start + 4));
    else this.#events.onPing(chunk.subarray(start, end));
  }

  #windowUpdate(streamId: number, chunk: Buffer, start: number, end: number): void {
    if (end - start !== 4) throw frameSize("WINDOW_UPDATE");
    this.#events.guard("OTHER_FRAMES");
    const bytes = readUint32(chunk, start) & MAX_31_BITS;
    if (streamId === 0) {
      if (bytes === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
      this.#events.onConnectionWindow(bytes);
      return;
    }
    this.#notIdle(streamId, "WINDOW_UPDATE");
    if (bytes > 0) this.#events.onStreamWindow(streamId, bytes);
    else this.#events.onStreamFault(streamId, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
  }

  #notIdle(streamId: number, what: string): void {
    if (!this.#events.isIdle(streamId)) return;
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${what} on a stream that nobody began`);
  }
}

/** The padding of a frame of so many bytes, which begins with its length (RFC 9113, section 6.1). */
function paddingOf(chunk: Buffer, start: number, bytes: number): number {
  if (bytes === 0) throw frameSize("a padded frame");
  const padding = chunk[start] as number;
  if (padding >= bytes) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "more padding than frame");
  return padding;
}

function onStream(streamId: number, what: string): void {
  if (streamId === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${what} on no stream`);
}

function onConnection(streamId: number, what: string): void {
  if (streamId !== 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${what} on a stream`);
}

function frameSize(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `${what} of a wrong length`);
}

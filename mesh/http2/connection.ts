import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "../core/clock.ts";
import { EndedStreams } from "./ended-streams.ts";
import { ErrorCode, errorName } from "./error-code.ts";
import { DEFAULT_MAX_FRAME_BYTES, Flag, FrameType, MAX_31_BITS } from "./frame.ts";
import { type FrameEvents, FrameParser } from "./frame-parser.ts";
import { FrameReader } from "./frame-reader.ts";
import { type Allowance, type CutOff, type Guard, Guards } from "./guard.ts";
import { HeldBytes } from "./held-bytes.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import type { HeaderTemplate } from "./hpack/header-template.ts";
import { ConnectionError, resetByPeer, StreamError } from "./http2-error.ts";
import { type Headers, OutgoingFrames } from "./outgoing-frames.ts";
import { ReceiveWindows } from "./receive-windows.ts";
import { SendQueue } from "./send-queue.ts";
import { applySettings, initialSettings, type OwnSettings, settingsPayload } from "./settings.ts";
import type { Stream } from "./stream.ts";

/** What both sides of a connection may be told. */
export interface ConnectionOptions {
  /** How much a peer may send on one stream before somebody has taken it. Defaults to 262,144 bytes. */
  readonly streamWindowBytes?: number;
  /** And on all streams together, between two turns of this process. Defaults to 4 MiB. */
  readonly connectionWindowBytes?: number;
  /** The largest header list that is taken (RFC 7541, section 4.1: 32 bytes a field beside its text). Defaults to 32,768. */
  readonly maxHeaderListBytes?: number;
  /**
   * How much a connection may make us hold: messages that have come in part or wait to be read, and what the peer does not
   * read. Defaults to 32 MiB for a server, to 256 MiB for a client.
   */
  readonly maxHeldBytes?: number;
  /** What this connection and others hold together. Defaults to that of this one alone. */
  readonly held?: HeldBytes;
  /** Defaults to {@link ALLOWANCES}. */
  readonly allowances?: Partial<Record<Guard, Allowance>>;
  /** Learns of each connection that ends by a fault of the peer, and why. */
  readonly onGuard?: (guard: CutOff) => void;
  readonly clock?: Clock;
}

/** Frames and headers that the peer does not read, beside data, before it is cut off. */
const MAX_UNREAD_BYTES = 2 ** 20;
/** How long a peer that was sent off has to read why. */
const LINGER_MS = 1_000;
/** How long a peer has to read an answer that came early: node:http2 throws away what it has not read when its stream is reset. */
const READ_WITHIN_MS = 100;

const EMPTY = Buffer.alloc(0);

/**
 * What both sides of a connection have in common (RFC 9113): streams, windows, settings, and what a peer may not do. It knows
 * no RPC: what is spoken is in the streams.
 */
export abstract class Connection implements FrameEvents {
  readonly streams = new Map<number, Stream>();
  /** What the peer has told us. */
  readonly peer = initialSettings();
  /** No new streams begin: one side has said GOAWAY. */
  isGoingAway = false;
  isClosed = false;
  /** Bytes that calls hold for the peer's sake. */
  heldBytes = 0;
  protected readonly clock: Clock;
  protected readonly frames: OutgoingFrames;
  /** The last stream that the peer began. */
  protected lastPeerStreamId = 0;
  readonly #socket: Duplex;
  readonly #parser: FrameParser;
  readonly #reader: FrameReader;
  readonly #queue: SendQueue;
  readonly #guards: Guards;
  readonly #onGuard: ConnectionOptions["onGuard"];
  readonly #windows: ReceiveWindows;
  readonly #maxHeldBytes: number;
  readonly #held: HeldBytes;
  readonly #templates = new Map<unknown, HeaderTemplate>();
  /** Those whose late frames are nobody's fault. */
  readonly #endedByUs = new EndedStreams();
  /** Streams that we have ended since the peer last ended one. */
  #answered = 0;

  constructor(
    socket: Duplex,
    own: Omit<OwnSettings, "initialWindowBytes" | "maxHeaderListBytes">,
    options: ConnectionOptions,
  ) {
    const { streamWindowBytes = 262_144, maxHeldBytes = 2 ** 25 } = options;
    const { clock = systemClock, maxHeaderListBytes = 32_768, allowances = {}, onGuard } = options;
    this.#socket = socket;
    this.clock = clock;
    this.frames = new OutgoingFrames(socket, this.peer);
    this.#parser = new FrameParser(this, maxHeaderListBytes);
    this.#reader = new FrameReader(this.#parser, DEFAULT_MAX_FRAME_BYTES);
    this.#queue = new SendQueue({
      frames: this.frames,
      peer: this.peer,
      onEnded: (stream) => this.#localEnded(stream),
      hold: (bytes) => this.hold(bytes),
      release: (bytes) => this.release(bytes),
    });
    this.#guards = new Guards(allowances, clock);
    this.#onGuard = onGuard;
    this.#maxHeldBytes = maxHeldBytes;
    this.#held = options.held ?? new HeldBytes(maxHeldBytes);

    this.writePreface();
    const settings = { ...own, initialWindowBytes: streamWindowBytes, maxHeaderListBytes };
    this.frames.frame(FrameType.SETTINGS, 0, 0, settingsPayload(settings));
    this.#windows = new ReceiveWindows(this.frames, streamWindowBytes, options.connectionWindowBytes);

    socket.on("data", this.#read);
    socket.on("drain", this.#drained);
    socket.on("error", (error) => this.#lose(error));
    socket.on("close", () => this.#lose(undefined));
    // Who says nothing more is gone: HTTP/2 has no use for half of a connection.
    socket.on("end", () => {
      if (!this.isClosed) this.#lose(undefined);
    });
  }

  /** Is told that the connection has ended, once. */
  onClose: () => void = () => {};

  /** Takes what was read of the socket before the connection began. */
  feed(chunk: Buffer): void {
    this.#read(chunk);
  }

  /** What a client says before its first frame. */
  protected writePreface(): void {}
  /** Takes off what comes before the first frame. */
  protected beforeFrames(chunk: Buffer): Buffer {
    return chunk;
  }
  /** Headers of a stream that nobody has begun. */
  protected abstract begin(
    streamId: number,
    fields: readonly HeaderField[],
    isEnd: boolean,
    isTooLarge: boolean,
  ): void;
  /** Says what is wrong with headers or trailers that came on an open stream; null if they are to be passed over. */
  protected abstract judge(
    stream: Stream,
    fields: readonly HeaderField[],
    isEnd: boolean,
  ): string | null | undefined;
  /** Whether the peer may say that it takes pushes. */
  protected abstract readonly mayPeerPush: boolean;
  abstract isIdle(streamId: number): boolean;
  abstract onGoaway(lastStreamId: number, code: number): void;
  onPong(_payload: number): void {}
  onHeadersBegun(): void {}
  /** Something has come. */
  protected onHeard(): void {}
  protected onPeerSettings(): void {}
  /** A stream has ended, in whatever way. */
  protected onStreamClosed(): void {}
  /** The connection has ended. */
  protected onEnded(): void {}

  protected get isWithinHeaders(): boolean {
    return this.#parser.isWithinHeaders;
  }

  protected get hasPeerSettings(): boolean {
    return this.#parser.hasSettings;
  }

  /** How the peer gets on with a frame that has come in part, and with reading what is whole. */
  protected readonly progress = {
    sending: () => this.#reader.heldFrame,
    reading: () => this.frames.leftBytes,
    answers: () => this.#queue.sentFrames,
  };

  /** A block of headers that is sent again and again, by what it is for: encoded once. There must be few keys. */
  templateOf(key: unknown, fields: readonly HeaderField[]): HeaderTemplate {
    const known = this.#templates.get(key);
    if (known) return known;
    const template = this.frames.template(fields);
    this.#templates.set(key, template);
    return template;
  }

  protected admit(stream: Stream, id: number): void {
    stream.id = id;
    stream.connection = this;
    stream.sendWindow = this.peer.initialWindowBytes;
    this.#windows.open(stream);
    this.streams.set(id, stream);
  }

  /** Sends headers, or trailers: these wait behind data that waits. `more` are fields beside a template. */
  sendHeaders(stream: Stream, fields: Headers, isEnd: boolean, more?: readonly HeaderField[]): void {
    if (this.#queue.sendBehind(stream, fields)) return;
    this.frames.headers(stream.id, fields, isEnd, more);
    if (isEnd) this.#localEnded(stream);
  }

  /** False: it waits, until the stream's `onDrain`, or the stream has failed. */
  sendData(stream: Stream, prefix: Uint8Array, body: Uint8Array, isEnd: boolean): boolean {
    const outcome = this.#queue.send(stream, prefix, body, isEnd);
    if (outcome === "refused") {
      this.#spoil(stream, ErrorCode.ENHANCE_YOUR_CALM, "the peer does not read what it has asked for");
    }
    return outcome === "sent";
  }

  /** Counts bytes that are held for the peer's sake. False: that is more than a peer may have, and nothing is counted. */
  hold(bytes: number): boolean {
    if (bytes > 0) {
      if (this.heldBytes + bytes > this.#maxHeldBytes) return false;
      if (!this.#held.allows(bytes, this.heldBytes)) return false;
    }
    this.heldBytes += bytes;
    this.#held.add(bytes);
    return true;
  }

  /** They are held no more. */
  release(bytes: number): void {
    this.heldBytes -= bytes;
    this.#held.add(-bytes);
  }

  readonly #drained = (): void => {
    this.frames.drained();
    this.#queue.sendWaiting();
  };

  resetStream(stream: Stream, code: number): void {
    if (!stream.isOpen) return;
    this.#writeReset(stream.id, code);
    this.drop(stream);
  }

  #writeReset(streamId: number, code: number): void {
    this.frames.reset(streamId, code);
    this.#endedByUs.add(streamId);
  }

  /** Does not take a stream that is not open yet. */
  protected refuse(streamId: number, code: number): void {
    this.#writeReset(streamId, code);
  }

  /** Tells a peer that does not end by itself that nobody reads what it sends, which is no error (RFC 9113, section 8.1). */
  stopReading(stream: Stream): void {
    if (stream.isRemoteEnded || !stream.isOpen) return;
    this.clock.after(READ_WITHIN_MS, () => {
      // What waits for the peer's window has to leave before.
      if (stream.isLocalEnded) stream.reset(ErrorCode.NO_ERROR);
      else this.stopReading(stream);
    });
  }

  /** So much of it has been taken. */
  returnWindow(stream: Stream, bytes: number): void {
    this.#windows.taken(stream, bytes);
  }

  /** Lets the peer send so many bytes at least, for what cannot be taken before it is whole. */
  widen(stream: Stream, bytes: number): void {
    this.#windows.widen(stream, bytes);
  }

  #localEnded(stream: Stream): void {
    stream.isLocalEnded = true;
    this.#answered++;
    if (stream.isRemoteEnded) this.drop(stream);
  }

  #remoteEnded(stream: Stream): void {
    stream.isRemoteEnded = true;
    if (stream.isLocalEnded) this.drop(stream);
  }

  /** Forgets a stream, and tells nobody. */
  protected drop(stream: Stream): void {
    this.#queue.forget(stream);
    if (stream.heldBytes > 0) stream.hold(0);
    this.streams.delete(stream.id);
    stream.connection = undefined;
    this.onStreamClosed();
  }

  /** Ends a stream, and tells it why. */
  #spoil(stream: Stream, code: number, message: string): void {
    this.#writeReset(stream.id, code);
    this.drop(stream);
    stream.onFailure(new StreamError(code, message));
  }

  /** Ends each stream on which the peer has come no further, since this was last called, with what it has begun to say. */
  protected endStalled(): void {
    try {
      for (const stream of [...this.streams.values()]) {
        const { progress, lastProgress } = stream;
        stream.lastProgress = progress;
        if (progress === undefined || progress !== lastProgress) continue;
        this.onStreamFault(
          stream.id,
          ErrorCode.CANCEL,
          "the peer does not go on with what it has begun to say",
        );
      }
    } catch (error) {
      this.fail(error);
    }
  }

  onStreamFault(streamId: number, code: number, message: string): void {
    const stream = this.streams.get(streamId);
    if (stream) this.#spoil(stream, code, message);
    else this.#writeReset(streamId, code);
    this.guard("FAULTS");
  }

  guard(guard: Guard): void {
    let earned = 0;
    if (guard === "PINGS" && this.frames.takeSaid()) return;
    if (guard === "RESETS") {
      earned = this.#answered;
      this.#answered = 0;
    }
    if (this.#guards.allows(guard, earned)) return;
    const what = guard.toLowerCase().replace("_", " ");
    throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `too many ${what}`, guard);
  }

  /** Cuts a peer off that costs more than it may, outside of what it sends. */
  protected cutOff(guard: "UNREAD" | "SLOW", message: string): void {
    this.fail(new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, message, guard));
  }

  readonly #read = (chunk: Buffer): void => {
    if (this.isClosed) return;
    try {
      this.onHeard();
      this.#reader.push(this.beforeFrames(chunk));
      if (this.frames.pendingBytes > MAX_UNREAD_BYTES) {
        this.cutOff("UNREAD", "the peer does not read what it is told");
      }
    } catch (error) {
      this.fail(error);
    }
  };

  onData(
    streamId: number,
    chunk: Buffer,
    start: number,
    end: number,
    frameBytes: number,
    isEnd: boolean,
  ): void {
    this.#windows.came(frameBytes);
    const stream = this.streams.get(streamId);
    if (!stream) {
      this.#onLate(streamId, "DATA");
      return;
    }
    const problem = this.#dataProblem(stream, end - start, frameBytes, isEnd);
    if (problem !== undefined) {
      this.onStreamFault(streamId, problem, "data that cannot be");
      return;
    }
    if (frameBytes > end - start) this.returnWindow(stream, frameBytes - (end - start));
    if (isEnd) this.#remoteEnded(stream);
    stream.onData(chunk, start, end, isEnd);
  }

  #dataProblem(stream: Stream, bytes: number, frameBytes: number, isEnd: boolean): number | undefined {
    if (stream.isRemoteEnded) return ErrorCode.STREAM_CLOSED;
    if (!stream.hasHeaders) return ErrorCode.PROTOCOL_ERROR;
    if (!this.#windows.cameOn(stream, frameBytes)) return ErrorCode.FLOW_CONTROL_ERROR;
    if (stream.owedBytes < 0) return undefined;
    stream.owedBytes -= bytes;
    const isWrong = stream.owedBytes < 0 || (isEnd && stream.owedBytes > 0);
    return isWrong ? ErrorCode.PROTOCOL_ERROR : undefined;
  }

  /** A frame for a stream that is not open. */
  #onLate(streamId: number, what: string): void {
    if (this.isIdle(streamId)) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `${what} on a stream that nobody began`);
    }
    if (!this.#endedByUs.mayHave(streamId)) {
      throw new ConnectionError(ErrorCode.STREAM_CLOSED, `${what} on a stream that has ended`);
    }
    this.guard("OTHER_FRAMES");
  }

  onHeaders(streamId: number, fields: readonly HeaderField[], isEnd: boolean, isTooLarge: boolean): void {
    const stream = this.streams.get(streamId);
    if (!stream) {
      if (this.isIdle(streamId)) this.begin(streamId, fields, isEnd, isTooLarge);
      else this.#onLate(streamId, "HEADERS");
      return;
    }
    if (stream.isRemoteEnded) {
      this.onStreamFault(streamId, ErrorCode.STREAM_CLOSED, "HEADERS after its end");
      return;
    }
    let problem = isTooLarge ? "too many headers" : this.judge(stream, fields, isEnd);
    if (problem === null) return;
    if (isEnd && stream.owedBytes > 0) problem ??= "the data is shorter than content-length says";
    if (problem !== undefined) {
      this.onStreamFault(streamId, ErrorCode.PROTOCOL_ERROR, problem);
      return;
    }
    if (isEnd) this.#remoteEnded(stream);
    stream.onHeaders(fields, isEnd);
  }

  onReset(streamId: number, code: number): void {
    const stream = this.streams.get(streamId);
    if (!stream) return;
    this.drop(stream);
    stream.onFailure(resetByPeer(code));
  }

  onSettings(chunk: Buffer, start: number, end: number): void {
    const before = this.peer.initialWindowBytes;
    applySettings(this.peer, chunk, start, end, this.mayPeerPush);
    this.frames.settingsChanged();
    const more = this.peer.initialWindowBytes - before;
    for (const stream of this.streams.values()) {
      stream.sendWindow += more;
      if (stream.sendWindow > MAX_31_BITS) throw windowTooLarge();
    }
    this.frames.frame(FrameType.SETTINGS, Flag.ACK, 0, EMPTY);
    this.onPeerSettings();
    if (more > 0) this.#queue.sendWaiting();
  }

  onSettingsAck(): void {}

  onPing(payload: Buffer): void {
    this.frames.frame(FrameType.PING, Flag.ACK, 0, payload);
  }

  onStreamWindow(streamId: number, bytes: number): void {
    const stream = this.streams.get(streamId);
    if (!stream) return;
    stream.sendWindow += bytes;
    if (stream.sendWindow > MAX_31_BITS) {
      this.onStreamFault(streamId, ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1");
    } else if (stream.unsent) this.#queue.sendWaiting();
  }

  onConnectionWindow(bytes: number): void {
    if (!this.#queue.widen(bytes)) throw windowTooLarge();
    this.#queue.sendWaiting();
  }

  /** Tells the peer what is wrong, ends every stream, and closes the connection when the peer has had time to read it. */
  protected fail(error: unknown): void {
    if (this.isClosed) return;
    const isFault = error instanceof ConnectionError;
    const code = isFault ? error.code : ErrorCode.INTERNAL_ERROR;
    if (isFault) this.#onGuard?.(error.cutOff);
    this.frames.goaway(this.lastPeerStreamId, code, isFault ? error.message : "");
    this.#end(error, code);
  }

  /** Closes the connection once what was written has left. */
  protected closeGently(): void {
    if (!this.isClosed) this.#end(undefined, ErrorCode.NO_ERROR);
  }

  #end(error: unknown, code: number): void {
    this.frames.flush();
    this.#markClosed(error, code);
    this.#socket.end();
    // What still comes is thrown away: a socket that is closed before it was read is reset, and the peer never sees why.
    this.#socket.off("data", this.#read);
    this.#socket.resume();
    const stop = this.clock.after(LINGER_MS, () => this.#socket.destroy());
    this.#socket.once("close", stop);
  }

  /** Closes the connection at once; `why` is what its streams are told. */
  destroy(why?: Error): void {
    this.#lose(why);
  }

  #lose(error: Error | undefined): void {
    if (!this.isClosed) this.#markClosed(error, ErrorCode.INTERNAL_ERROR);
    this.#socket.destroy();
  }

  #markClosed(error: unknown, code: number): void {
    this.isClosed = true;
    this.isGoingAway = true;
    this.#parser.isClosed = true;
    this.frames.close();
    const why = error instanceof Error ? error.message : errorName(code);
    for (const stream of [...this.streams.values()]) {
      this.drop(stream);
      stream.onFailure(new StreamError(code, `the connection was lost: ${why}`, "LOST", error));
    }
    this.onEnded();
    this.onClose();
  }
}

function windowTooLarge(): ConnectionError {
  return new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "a window above 2^31-1");
}

import type { Duplex } from "node:stream";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { ErrorCode } from "./error-code.ts";
import { MAX_31_BITS, PREFACE } from "./frame.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import { ConnectionError } from "./http2-error.ts";
import { MessageHead, trailersProblem } from "./message-head.ts";
import type { Stream } from "./stream.ts";
import { Unheard } from "./unheard.ts";
import { watchProgress } from "./watch-progress.ts";

/** What a server says to its side of a connection. */
export interface ServerConnectionOptions extends ConnectionOptions {
  /** How many streams may be open at once. Defaults to 1,000. */
  readonly maxConcurrentStreams?: number;
  /** How long the first frame, and each block of headers, may take. Milliseconds. Defaults to 10,000. */
  readonly headersWithinMs?: number;
  /**
   * How long a client may get on with nothing while it has sent a frame or a request in part, or has not read answers that
   * are whole. It is found after once to twice this time. Milliseconds. Defaults to 20,000.
   */
  readonly progressWithinMs?: number;
}

/** Makes the stream of a request. The head is read at once: the next request has the same one. */
export type Accept = (head: Readonly<MessageHead>, fields: readonly HeaderField[]) => Stream;

const DRAIN_PING = 0x64726169;
const DRAIN_PING_WITHIN_MS = 1_000;
const TOO_LARGE: readonly HeaderField[] = [{ name: ":status", value: "431" }];

/** The server's side of a connection. */
export class ServerConnection extends Connection {
  protected readonly mayPeerPush = true;
  readonly #accept: Accept;
  readonly #maxConcurrentStreams: number;
  readonly #headersWithinMs: number;
  readonly #head = new MessageHead();
  #preface = 0;
  /** The last stream that the peer has named: it may have been refused. */
  #lastNamedId = 0;
  #isDraining = false;
  #stopWaiting: () => void = () => {};
  #stopDraining: () => void = () => {};
  readonly #stopWatching: () => void;

  constructor(socket: Duplex, accept: Accept, options: ServerConnectionOptions = {}) {
    const { maxConcurrentStreams = 1_000, headersWithinMs = 10_000, progressWithinMs = 20_000 } = options;
    super(socket, { maxConcurrentStreams }, options);
    this.#accept = accept;
    this.#maxConcurrentStreams = maxConcurrentStreams;
    this.#headersWithinMs = headersWithinMs;
    this.#within("the first frame", () => !this.hasPeerSettings);
    const { sending, reading, answers } = this.progress;
    const isSlow = () => this.cutOff("SLOW", "a frame took too long");
    const isUnread = () => this.cutOff("UNREAD", "the peer does not read its answers");
    const watched = [
      { progress: sending, onStall: isSlow },
      { progress: reading, onStall: isUnread },
      { progress: answers, onStall: isUnread },
    ];
    this.#stopWatching = watchProgress(this.clock, progressWithinMs, watched, () => this.endStalled());
  }

  /** Cuts off who takes too long over what cannot be left half said. */
  #within(what: string, isWaiting: () => boolean): void {
    this.#stopWaiting();
    this.#stopWaiting = this.clock.after(this.#headersWithinMs, () => {
      if (!this.isClosed && isWaiting()) this.cutOff("SLOW", `${what} took too long`);
    });
  }

  override onHeadersBegun(): void {
    this.#within("headers", () => this.isWithinHeaders);
  }

  protected override onPeerSettings(): void {
    this.#stopWaiting();
  }

  protected override onEnded(): void {
    this.#stopWaiting();
    this.#stopDraining();
    this.#stopWatching();
  }

  protected override beforeFrames(chunk: Buffer): Buffer {
    const missing = PREFACE.length - this.#preface;
    if (missing === 0) return chunk;
    const part = chunk.subarray(0, missing);
    if (!part.equals(PREFACE.subarray(this.#preface, this.#preface + part.length))) {
      throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "this is no HTTP/2");
    }
    this.#preface += part.length;
    return chunk.subarray(part.length);
  }

  protected begin(
    streamId: number,
    fields: readonly HeaderField[],
    isEnd: boolean,
    isTooLarge: boolean,
  ): void {
    // Clients have the odd numbers (RFC 9113, section 5.1.1).
    if (streamId % 2 === 0) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a stream of an even number");
    this.#lastNamedId = streamId;
    // It was begun after our GOAWAY, and whoever began it knows that by now.
    if (this.isGoingAway) {
      this.refuse(streamId, ErrorCode.REFUSED_STREAM);
      return;
    }
    this.lastPeerStreamId = streamId;
    if (this.streams.size >= this.#maxConcurrentStreams) {
      this.onStreamFault(streamId, ErrorCode.REFUSED_STREAM, "too many streams");
      return;
    }
    const problem = isTooLarge ? undefined : this.#problemOf(fields, isEnd);
    if (problem !== undefined) {
      this.onStreamFault(streamId, ErrorCode.PROTOCOL_ERROR, problem);
      return;
    }
    const stream = isTooLarge ? new Unheard() : this.#accept(this.#head, fields);
    this.admit(stream, streamId);
    stream.hasHeaders = true;
    stream.isRemoteEnded = isEnd;
    if (isTooLarge) {
      stream.sendHeaders(TOO_LARGE, true);
      if (!isEnd) stream.reset(ErrorCode.NO_ERROR);
      this.guard("FAULTS");
      return;
    }
    stream.owedBytes = this.#head.contentLength;
    stream.onHeaders(fields, isEnd);
  }

  #problemOf(fields: readonly HeaderField[], isEnd: boolean): string | undefined {
    const problem = this.#head.readRequest(fields);
    if (problem === undefined && isEnd && this.#head.contentLength > 0) {
      return "the data is shorter than content-length says";
    }
    return problem;
  }

  isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId > this.#lastNamedId;
  }

  protected judge(_stream: Stream, fields: readonly HeaderField[], isEnd: boolean): string | undefined {
    return isEnd ? trailersProblem(fields) : "trailers that end nothing";
  }

  onGoaway(): void {
    // The client begins nothing more; it closes the connection when it has its answers.
    this.isGoingAway = true;
    this.#closeIfIdle();
  }

  protected override onStreamClosed(): void {
    if (this.isGoingAway) this.#closeIfIdle();
  }

  override onStreamFault(streamId: number, code: number, message: string): void {
    if (streamId % 2 === 1) this.#lastNamedId = Math.max(this.#lastNamedId, streamId);
    super.onStreamFault(streamId, code, message);
  }

  #closeIfIdle(): void {
    if (this.streams.size === 0) this.closeGently();
  }

  /**
   * Lets what runs end, takes nothing new, then closes: first a GOAWAY that names no stream, so that what is on its way is
   * still taken, and when the client has read that, one that names the last (RFC 9113, section 6.8). Safe to call twice.
   */
  drain(): void {
    if (this.#isDraining || this.isClosed) return;
    this.#isDraining = true;
    this.frames.goaway(MAX_31_BITS, ErrorCode.NO_ERROR);
    this.frames.ping(DRAIN_PING);
    this.#stopDraining = this.clock.after(DRAIN_PING_WITHIN_MS, () => this.#takeNoMore());
  }

  override onPong(payload: number): void {
    if (this.#isDraining && payload === DRAIN_PING) this.#takeNoMore();
  }

  #takeNoMore(): void {
    if (this.isGoingAway || this.isClosed) return;
    this.#stopDraining();
    this.frames.goaway(this.lastPeerStreamId, ErrorCode.NO_ERROR);
    this.isGoingAway = true;
    this.#closeIfIdle();
  }
}

import type { Duplex } from "node:stream";
import { Connection, type ConnectionOptions } from "./connection.ts";
import { ErrorCode, errorName } from "./error-code.ts";
import { MAX_31_BITS, PREFACE } from "./frame.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import type { HeaderTemplate } from "./hpack/header-template.ts";
import { ConnectionError, StreamError } from "./http2-error.ts";
import { MessageHead, trailersProblem } from "./message-head.ts";
import type { Stream } from "./stream.ts";

/** What a client says to its side of a connection. */
export interface ClientConnectionOptions extends ConnectionOptions {
  /** After so long without a word, while calls wait, the server is asked whether it lives. Milliseconds. Defaults to 30,000. */
  readonly keepaliveMs?: number;
  /** How long it has to answer. Milliseconds. Defaults to 10,000. */
  readonly keepaliveTimeoutMs?: number;
}

/** How many streams are begun before the server has said how many it takes (what most servers take). */
const STREAMS_UNTIL_TOLD = 100;
/** More than a server holds for a client: it is what this process itself sends, and asked for. */
const MAX_HELD_BYTES = 2 ** 28;
const KEEPALIVE_PING = 0x616c6976;

/** The client's side of a connection. */
export class ClientConnection extends Connection {
  protected readonly mayPeerPush = false;
  readonly #keepaliveMs: number;
  readonly #keepaliveTimeoutMs: number;
  readonly #head = new MessageHead();
  protected nextStreamId = 1;
  #maxStreams = STREAMS_UNTIL_TOLD;
  #hasHeard = false;
  #stopKeepalive: () => void = () => {};

  constructor(socket: Duplex, options: ClientConnectionOptions = {}) {
    super(socket, { refusesPush: true }, { maxHeldBytes: MAX_HELD_BYTES, ...options });
    this.#keepaliveMs = options.keepaliveMs ?? 30_000;
    this.#keepaliveTimeoutMs = options.keepaliveTimeoutMs ?? 10_000;
    this.#keepAlive();
  }

  /** The server has said SETTINGS, so that it is one. */
  isReady = false;

  /** Is told when it takes streams again, after it had as many as the server wants, and when it takes none any more. */
  onChange: () => void = () => {};

  protected override writePreface(): void {
    this.frames.bytes(PREFACE);
  }

  /** True if a stream can begin now. */
  get takesStreams(): boolean {
    return !this.isGoingAway && this.streams.size < this.#maxStreams;
  }

  /** Begins a stream; only while it {@link takesStreams}. */
  open(
    stream: Stream,
    headers: readonly HeaderField[] | HeaderTemplate,
    isEnd: boolean,
    more?: readonly HeaderField[],
  ): void {
    this.admit(stream, this.nextStreamId);
    this.nextStreamId += 2;
    this.sendHeaders(stream, headers, isEnd, more);
    if (this.nextStreamId > MAX_31_BITS) this.#runOut();
  }

  /** No numbers are left, as after three hours of 100,000 calls a second: the next stream needs another connection. */
  #runOut(): void {
    this.drain();
    this.onChange();
  }

  protected begin(): void {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that nobody began");
  }

  isIdle(streamId: number): boolean {
    return streamId % 2 === 0 || streamId >= this.nextStreamId;
  }

  override onStreamFault(streamId: number, code: number, message: string): void {
    // Only we could begin it, and it cannot be reset before that (RFC 9113, section 6.4).
    if (this.isIdle(streamId)) throw new ConnectionError(code, message);
    super.onStreamFault(streamId, code, message);
  }

  protected judge(stream: Stream, fields: readonly HeaderField[], isEnd: boolean): string | null | undefined {
    if (stream.hasHeaders) return isEnd ? trailersProblem(fields) : "trailers that end nothing";
    const problem = this.#head.readResponse(fields);
    if (problem) return problem;
    // Another will come (RFC 9110, section 15.2).
    if (this.#head.status < 200) return isEnd ? "an interim response that ends it" : null;
    stream.hasHeaders = true;
    stream.owedBytes = this.#head.contentLength;
    return undefined;
  }

  onGoaway(lastStreamId: number, code: number): void {
    this.isGoingAway = true;
    const why = `the server is going away (${errorName(code)}) and has not looked at it`;
    for (const stream of [...this.streams.values()]) {
      if (stream.id <= lastStreamId) continue;
      this.drop(stream);
      stream.onFailure(new StreamError(code, why, "REFUSED"));
    }
    this.onChange();
    this.#closeIfDone();
  }

  protected override onPeerSettings(): void {
    this.isReady = true;
    this.#maxStreams = this.peer.maxConcurrentStreams;
    this.onChange();
  }

  protected override onStreamClosed(): void {
    if (this.isGoingAway) this.#closeIfDone();
    else if (this.streams.size === this.#maxStreams - 1) this.onChange();
  }

  #closeIfDone(): void {
    if (this.streams.size === 0) this.closeGently();
  }

  /** Begins nothing more, and closes when what runs has ended. */
  drain(): void {
    this.isGoingAway = true;
    this.#closeIfDone();
  }

  protected override onHeard(): void {
    this.#hasHeard = true;
  }

  /** Asks a server that says nothing while calls wait whether it is there, and gives it up if it does not answer. */
  #keepAlive(): void {
    this.#hasHeard = false;
    this.#stopKeepalive = this.clock.after(this.#keepaliveMs, () => {
      if (this.isClosed) return;
      if (this.#hasHeard || this.streams.size === 0) return this.#keepAlive();
      this.frames.ping(KEEPALIVE_PING);
      this.#stopKeepalive = this.clock.after(this.#keepaliveTimeoutMs, () => {
        if (this.#hasHeard) this.#keepAlive();
        else this.destroy(new Error("the server does not say that it lives"));
      });
    });
  }

  protected override onEnded(): void {
    this.#stopKeepalive();
  }
}

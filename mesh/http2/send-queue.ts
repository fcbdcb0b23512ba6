import { DEFAULT_WINDOW_BYTES, MAX_31_BITS } from "./frame.ts";
import type { Headers, OutgoingFrames } from "./outgoing-frames.ts";
import type { Settings } from "./settings.ts";
import type { Stream } from "./stream.ts";
import { Unsent } from "./unsent.ts";

/** The largest frame that we send: nobody else's turn comes while it is on its way. */
const LARGEST_FRAME_BYTES = 65_536;

/** What a queue asks of its connection. */
export interface SendQueueOptions {
  readonly frames: OutgoingFrames;
  readonly peer: Settings;
  /** END_STREAM of this stream has been written. */
  readonly onEnded: (stream: Stream) => void;
  /** Counts bytes that are held because the peer does not take them. False: that is too much. */
  readonly hold: (bytes: number) => boolean;
  readonly release: (bytes: number) => void;
}

/**
 * Sends data as the peer's windows and the socket allow (RFC 9113, section 5.2). What may go goes at once; the rest waits, and
 * is sent in turns, a frame of each stream.
 */
export class SendQueue {
  readonly #options: SendQueueOptions;
  readonly #waiting = new Set<Stream>();
  #window = DEFAULT_WINDOW_BYTES;
  #sentFrames = 0;

  constructor(options: SendQueueOptions) {
    this.#options = options;
  }

  /** Sends the last headers of a stream behind what waits of it. False: nothing waits, so that they may go. */
  sendBehind(stream: Stream, trailers: Headers): boolean {
    if (!stream.unsent) return false;
    stream.unsent.trailers = trailers;
    return true;
  }

  /** Sends data. "waits": not all of it has gone; "refused": there is too much waiting on this connection already. */
  send(stream: Stream, prefix: Uint8Array, body: Uint8Array, isEnd: boolean): "sent" | "waits" | "refused" {
    const { frames, peer, onEnded } = this.#options;
    const bytes = prefix.length + body.length;
    if (
      stream.unsent === undefined &&
      bytes <= stream.sendWindow &&
      bytes <= this.#window &&
      bytes <= peer.maxFrameBytes &&
      bytes <= LARGEST_FRAME_BYTES &&
      !frames.isFull
    ) {
      frames.data(stream.id, prefix, body, isEnd);
      stream.sendWindow -= bytes;
      this.#window -= bytes;
      if (isEnd) onEnded(stream);
      return "sent";
    }
    return this.#sendLater(stream, prefix, body, isEnd);
  }

  #sendLater(
    stream: Stream,
    prefix: Uint8Array,
    body: Uint8Array,
    isEnd: boolean,
  ): "sent" | "waits" | "refused" {
    if (!this.#options.hold(prefix.length + body.length)) return "refused";
    const unsent = stream.unsent ?? new Unsent();
    stream.unsent = unsent;
    // The prefix is its writer's again when this returns.
    unsent.push(new Uint8Array(prefix));
    unsent.push(body);
    unsent.isEnd = isEnd;
    this.#waiting.add(stream);
    this.sendWaiting();
    return stream.unsent ? "waits" : "sent";
  }

  /** Sends what may go by now. */
  sendWaiting(): void {
    // Who has had a turn goes to the end, where this loop comes by again: it ends when nobody can send.
    for (const stream of this.#waiting) this.#sendOneFrame(stream, stream.unsent as Unsent);
  }

  #sendOneFrame(stream: Stream, unsent: Unsent): void {
    const { frames, onEnded, release } = this.#options;
    const bytes = this.#allowed(stream, unsent);
    if (frames.isFull || (bytes === 0 && unsent.bytes > 0)) return;
    const isLast = bytes === unsent.bytes;
    const isEnd = isLast && unsent.isEnd;
    if (bytes > 0 || isEnd) {
      frames.unsentData(stream.id, unsent, bytes, isEnd);
      this.#sentFrames++;
      stream.sendWindow -= bytes;
      this.#window -= bytes;
      release(bytes);
    }
    this.#waiting.delete(stream);
    if (!isLast) {
      this.#waiting.add(stream);
      return;
    }
    stream.unsent = undefined;
    if (unsent.trailers) frames.headers(stream.id, unsent.trailers, true);
    if (isEnd || unsent.trailers) onEnded(stream);
    stream.onDrain();
  }

  /** The size of the next frame. An empty one needs no window, which may be below 0. */
  #allowed(stream: Stream, unsent: Unsent): number {
    const { maxFrameBytes } = this.#options.peer;
    return Math.max(
      0,
      Math.min(stream.sendWindow, this.#window, maxFrameBytes, LARGEST_FRAME_BYTES, unsent.bytes),
    );
  }

  /** Frames of what waited that have been sent, while streams wait that are whole: only the peer is in their way. */
  get sentFrames(): number | undefined {
    for (const { unsent } of this.#waiting) if (unsent?.isEnd || unsent?.trailers) return this.#sentFrames;
    return undefined;
  }

  /** Forgets what waits of a stream. */
  forget(stream: Stream): void {
    if (!stream.unsent) return;
    this.#options.release(stream.unsent.bytes);
    stream.unsent = undefined;
    this.#waiting.delete(stream);
  }

  /** The peer takes more on all streams together. False: more than can be. */
  widen(bytes: number): boolean {
    this.#window += bytes;
    return this.#window <= MAX_31_BITS;
  }
}

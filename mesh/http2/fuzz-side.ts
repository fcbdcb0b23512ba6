import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import type { Clock } from "../core/clock.ts";
import { ClientConnection } from "./client-connection.ts";
import { FuzzFrames } from "./fuzz-frames.ts";
import { FuzzOutput } from "./fuzz-output.ts";
import { FuzzStream } from "./fuzz-stream.ts";
import type { FuzzRandom } from "./hpack/fuzz-random.ts";
import { ServerConnection } from "./server-connection.ts";

const STREAM_WINDOW_BYTES = 65_536;
const MAX_HELD_BYTES = 300_000;
const MAX_STREAMS = 12;

const REQUEST = [
  { name: ":method", value: "POST" },
  { name: ":scheme", value: "http" },
  { name: ":path", value: "/a" },
];

/** One side of a connection, whose peer and whose streams do things by chance. */
export class FuzzSide {
  readonly output: FuzzOutput;
  /** All that were begun. */
  readonly streams: FuzzStream[] = [];
  readonly #random: FuzzRandom;
  readonly #peer: FuzzFrames;
  readonly #socket = new FuzzSocket();
  readonly #clock = new FuzzClock();
  readonly #connection: ServerConnection | ClientConnection;
  #closes = 0;

  constructor(random: FuzzRandom, isServer: boolean) {
    this.#random = random;
    this.#peer = new FuzzFrames(random, isServer);
    this.output = new FuzzOutput(isServer);
    const options = {
      clock: this.#clock,
      streamWindowBytes: STREAM_WINDOW_BYTES,
      connectionWindowBytes: 2 * STREAM_WINDOW_BYTES,
      maxHeldBytes: MAX_HELD_BYTES,
      maxHeaderListBytes: 1_000,
      maxConcurrentStreams: MAX_STREAMS,
      // So few that chance comes that far.
      allowances: {
        FAULTS: { burst: 6, perSecond: 2 },
        PINGS: { burst: 8, perSecond: 2 },
        RESETS: { burst: 8, perSecond: 2 },
        EMPTY_DATA: { burst: 8, perSecond: 2 },
      },
    };
    const make = () => {
      const stream = new FuzzStream(random, isServer);
      this.streams.push(stream);
      return stream;
    };
    if (isServer) this.#connection = new ServerConnection(this.#socket, make, options);
    else this.#connection = new ClientConnection(this.#socket, options);
    this.#connection.onClose = () => this.#closes++;
  }

  get isClosed(): boolean {
    return this.#connection.isClosed;
  }

  /** Lets everybody do something, and looks at what became of it. */
  async step(): Promise<void> {
    this.#act();
    const octets = this.#peer.sequence([...this.#connection.streams.keys()]);
    for (let at = 0; at < octets.length; ) {
      const end = at + 1 + this.#random.below(this.#random.oneIn(3) ? 20 : 5_000);
      this.#connection.feed(Buffer.from(octets.subarray(at, end)));
      at = end;
      this.#look();
    }
    this.#clock.advance(this.#random.oneIn(200) ? 15_000 : this.#random.below(400));
    await new Promise((resolve) => setImmediate(resolve));
    this.#look();
  }

  #act(): void {
    if (this.#random.oneIn(10)) this.#socket.isSlow = !this.#socket.isSlow;
    if (!this.#socket.isSlow) this.#socket.takeWrite();
    const connection = this.#connection;
    if (connection instanceof ClientConnection) {
      while (connection.takesStreams && connection.streams.size < MAX_STREAMS && this.#random.oneIn(2)) {
        const stream = new FuzzStream(this.#random, false);
        this.streams.push(stream);
        // It says nothing more, or whatever it likes.
        connection.open(stream, REQUEST, false);
      }
    }
    if (this.#random.oneIn(300)) connection.drain();
    for (const stream of connection.streams.values()) if (stream instanceof FuzzStream) stream.act();
  }

  #look(): void {
    for (const octets of this.#socket.written.splice(0)) this.output.push(octets);
    const { heldBytes, streams } = this.#connection;
    assert.ok(heldBytes >= 0 && heldBytes <= MAX_HELD_BYTES, `${heldBytes} bytes are held`);
    assert.ok(streams.size <= MAX_STREAMS, `${streams.size} streams are open`);
    let counted = 0;
    for (const stream of streams.values()) {
      counted += stream.heldBytes + (stream.unsent?.bytes ?? 0);
      if (!(stream instanceof FuzzStream) || stream.isRemoteEnded) continue;
      // What a peer may have under way is what it was given, whatever came and was taken.
      const { receiveWindow, takenBytes, advancedBytes, untakenBytes } = stream;
      assert.equal(receiveWindow + takenBytes + untakenBytes - advancedBytes, STREAM_WINDOW_BYTES);
    }
    assert.equal(heldBytes, counted, "what is held is not what the streams hold");
  }

  /** Breaks the connection if nobody has, and looks at whether anything is left of it. */
  async end(): Promise<void> {
    this.#socket.isSlow = false;
    this.#socket.takeWrite();
    this.#connection.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    this.#look();
    const { heldBytes, streams } = this.#connection;
    assert.deepEqual(
      { heldBytes, streams: streams.size, closes: this.#closes },
      { heldBytes: 0, streams: 0, closes: 1 },
    );
    assert.ok(
      this.streams.every(({ isOpen }) => !isOpen),
      "a stream is open on no connection",
    );
    assert.equal(this.#clock.waiting, 0, "a timer is left");
    assert.ok(this.#socket.destroyed, "the socket is left");
  }
}

/** What is written is kept; while it is slow, it takes one write and no more. */
class FuzzSocket extends Duplex {
  readonly written: Buffer[] = [];
  isSlow = false;
  #done: (() => void) | undefined;

  override _read(): void {}

  override _write(octets: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(octets));
    if (this.isSlow) this.#done = done;
    else done();
  }

  /** Takes what it has. */
  takeWrite(): void {
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}

class FuzzClock implements Clock {
  readonly #timers = new Map<() => void, number>();
  #nowMs = 0;

  get waiting(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#nowMs;
  }

  date(): Date {
    return new Date(this.#nowMs);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  after(delayMs: number, act: () => void): () => void {
    const due = () => act();
    this.#timers.set(due, this.#nowMs + delayMs);
    return () => this.#timers.delete(due);
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
    for (const [due, atMs] of [...this.#timers]) {
      if (atMs <= this.#nowMs && this.#timers.delete(due)) due();
    }
  }
}

import { type Duplex, duplexPair } from "node:stream";
import { Flag, FRAME_HEAD_BYTES, FrameType, PREFACE, writeFrameHead } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { HpackDecoder } from "./hpack/decoder.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import type { HeaderField } from "./hpack/header-field.ts";

/** A frame that has come. */
export interface CameFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  /** `name: value` each, if it is HEADERS. They are in one frame, or the test fails. */
  readonly headers: readonly string[];
}

/** The other side of a connection, which says what a test wants it to say. */
export interface RawPeer {
  /** All that has come, in its order. */
  readonly came: readonly CameFrame[];
  /** What the connection is opened on. */
  readonly socket: Duplex;
  /** Writes frames, whatever they mean. */
  send(...octets: readonly Buffer[]): void;
  /** Headers as a frame, `name: value` each, encoded by one encoder for the whole connection. */
  headers(stream: number, fields: readonly string[], isEnd?: boolean): Buffer;
  /** Resolves with the first frame of this type that was not resolved with before, of one stream if one is named. */
  next(type: number, stream?: number): Promise<CameFrame>;
  /** Resolves when all that was sent before has been dealt with, and what was answered to it has come. */
  settled(): Promise<void>;
  /** Says nothing more. */
  end(): void;
  /** Is gone. */
  destroy(): void;
  /** Resolves when the other side says nothing more. */
  readonly ended: Promise<void>;
}

const EMPTY = Buffer.alloc(0);

/** A peer in memory, of a connection that is opened on its `socket`. A client says the preface, and both SETTINGS. */
export function rawPeer(role: "client" | "server" | "silent"): RawPeer {
  const [near, far] = duplexPair();
  const came: CameFrame[] = [];
  const taken = new Set<CameFrame>();
  const decoder = new HpackDecoder({ maxListBytes: 2 ** 20 });
  const encoder = new HpackEncoder();
  const ended = Promise.withResolvers<void>();
  const watchers = new Set<() => void>();
  let pings = 0;
  let prefaceLeft = role === "server" ? PREFACE.length : 0;

  const reader = new FrameReader(
    {
      onFrame(type, flags, stream, chunk, start, end) {
        const fields = type === FrameType.HEADERS ? decoder.decode(chunk, start, end) : [];
        const headers = fields.map(({ name, value }) => `${name}: ${value}`);
        came.push({ type, flags, stream, payload: chunk.subarray(start, end), headers });
        return true;
      },
    },
    2 ** 24,
  );
  near.on("data", (octets: Buffer) => {
    const frames = octets.subarray(prefaceLeft);
    prefaceLeft -= octets.length - frames.length;
    // What is passed on may not be written to again, and the other side writes into its buffer again.
    reader.push(Buffer.from(frames));
    for (const look of [...watchers]) look();
  });
  near.on("end", ended.resolve).on("close", ended.resolve).on("error", ended.resolve);

  function next(type: number, stream?: number): Promise<CameFrame> {
    return new Promise((resolve) => {
      const look = () => {
        const isIt = (each: CameFrame) => each.type === type && (stream ?? each.stream) === each.stream;
        const found = came.find((each) => isIt(each) && !taken.has(each));
        if (!found) return;
        watchers.delete(look);
        taken.add(found);
        resolve(found);
      };
      watchers.add(look);
      look();
    });
  }

  const peer: RawPeer = {
    came,
    socket: far,
    ended: ended.promise,
    send: (...octets) => void near.write(Buffer.concat(octets)),
    headers(stream, fields, isEnd = false) {
      const pairs = fields.map((field): HeaderField => {
        const at = field.indexOf(": ", 1);
        return { name: field.slice(0, at), value: field.slice(at + 2) };
      });
      const out = Buffer.alloc(encoder.bound(pairs));
      const flags = Flag.END_HEADERS | (isEnd ? Flag.END_STREAM : 0);
      return frame(FrameType.HEADERS, flags, stream, out.subarray(0, encoder.encode(pairs, out, 0)));
    },
    next,
    async settled() {
      const payload = Buffer.alloc(8);
      payload.writeUInt32BE(++pings, 4);
      near.write(frame(FrameType.PING, 0, 0, payload));
      for (;;) {
        const pong = await next(FrameType.PING);
        if (pong.flags & Flag.ACK && pong.payload.equals(payload)) return;
      }
    },
    end: () => void near.end(),
    destroy: () => void near.destroy(),
  };
  if (role === "client") peer.send(PREFACE);
  if (role !== "silent") peer.send(frame(FrameType.SETTINGS, 0, 0, EMPTY));
  return peer;
}

/** The octets of a frame, whatever it means. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(FRAME_HEAD_BYTES + payload.length);
  writeFrameHead(out, 0, payload.length, type, flags, stream);
  out.set(payload, FRAME_HEAD_BYTES);
  return out;
}

/** The four octets of a number, as RST_STREAM and WINDOW_UPDATE have them. */
export function uint32(number: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(number);
  return octets;
}

/** The payload of SETTINGS with these parameters, by their numbers. */
export function settings(values: Readonly<Record<number, number>>): Buffer {
  return Buffer.concat(
    Object.entries(values).map(([id, value]) => {
      const pair = Buffer.alloc(6);
      pair.writeUInt16BE(Number(id));
      pair.writeUInt32BE(value, 2);
      return pair;
    }),
  );
}

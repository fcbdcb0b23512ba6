import { type Duplex, duplexPair } from "node:stream";
import { FrameType } from "../http2/frame.ts";
import { HpackDecoder } from "../http2/hpack/decoder.ts";
import { HpackEncoder } from "../http2/hpack/encoder.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { FrameFlag, frame, framesIn, headerBlocksIn, PREFACE, type RawFrame } from "./http2-frames.ts";

/** A frame that has come, with its headers as `name: value`. */
export interface CameFrame extends RawFrame {
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
  let rest: Buffer = EMPTY;
  let pings = 0;
  let isFirst = role === "server";

  near.on("data", (octets: Buffer) => {
    let all = Buffer.concat([rest, octets]);
    if (isFirst && all.length >= PREFACE.length) {
      isFirst = false;
      all = all.subarray(PREFACE.length);
    }
    const { frames, length } = isFirst ? { frames: [], length: 0 } : framesIn(all);
    rest = all.subarray(length);
    for (const each of frames) {
      const headers = headerBlocksIn([each]).flatMap((block) =>
        decoder.decode(block, 0, block.length).map(({ name, value }) => `${name}: ${value}`),
      );
      came.push({ ...each, headers });
    }
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
      const flags = FrameFlag.END_HEADERS | (isEnd ? FrameFlag.END_STREAM : 0);
      return frame(FrameType.HEADERS, flags, stream, out.subarray(0, encoder.encode(pairs, out, 0)));
    },
    next,
    async settled() {
      const payload = Buffer.alloc(8);
      payload.writeUInt32BE(++pings, 4);
      near.write(frame(FrameType.PING, 0, 0, payload));
      for (;;) {
        const pong = await next(FrameType.PING);
        if (pong.flags & FrameFlag.ACK && pong.payload.equals(payload)) return;
      }
    },
    end: () => void near.end(),
    destroy: () => void near.destroy(),
  };
  if (role === "client") peer.send(PREFACE);
  if (role !== "silent") peer.send(frame(FrameType.SETTINGS, 0, 0, EMPTY));
  return peer;
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

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { errorName } from "../../mesh/http2/error-code.ts";
import { FrameType, PREFACE } from "../../mesh/http2/frame.ts";
import { HpackDecoder } from "../../mesh/http2/hpack/decoder.ts";
import { HpackEncoder } from "../../mesh/http2/hpack/encoder.ts";
import type { HeaderField } from "../../mesh/http2/hpack/header-field.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import {
  FrameFlag,
  frame,
  framesIn,
  headerBlocksIn,
  type RawFrame,
} from "../../mesh/testing/http2-frames.ts";
import { pathOf } from "./contract.ts";

const EMPTY = Buffer.alloc(0);

/** The settings of an attacker: pairs of a parameter's number and its value. */
export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  for (const [i, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return frame(FrameType.SETTINGS, 0, 0, payload);
}

/** The octets of a 32-bit number. */
export function uint32(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value);
  return octets;
}

/** A message in its envelope, which announces `bytes`. */
export function envelope(message: Uint8Array, bytes = message.length, flags = 0): Buffer {
  return Buffer.concat([Buffer.of(flags), uint32(bytes), message]);
}

/** The headers of a gRPC call. */
export function callHeaders(
  method: Parameters<typeof pathOf>[0],
  more: readonly HeaderField[] = [],
): HeaderField[] {
  return [
    { name: ":method", value: "POST" },
    { name: ":scheme", value: "http" },
    { name: ":path", value: pathOf(method) },
    { name: ":authority", value: "attacked" },
    { name: "content-type", value: "application/grpc" },
    { name: "te", value: "trailers" },
    ...more,
  ];
}

/** A peer that writes what it likes. */
export interface Attacker {
  readonly socket: Socket;
  /** Everything that the server has said, if this peer reads. */
  readonly frames: readonly RawFrame[];
  readonly isOver: boolean;
  /** Resolves when it has left this process, or the connection is over. */
  send(...octets: readonly Buffer[]): Promise<void>;
  /** HEADERS with these fields. */
  headers(stream: number, fields: readonly HeaderField[], flags?: number): Buffer;
  /** Sends what `make` makes, again and again until the server has had enough; gives up after `most`. */
  flood(make: (turn: number) => Buffer, most?: number): Promise<void>;
  /** Resolves when the connection is over: with what the server said last, `CODE: why`, or "nothing". */
  cutOff(): Promise<string>;
}

const TURNS_AT_ONCE = 50;

/** Connects. Without `hello` nothing is said before the first `send`. */
export async function attacker(
  port: number,
  { hello = settings(), reads = true }: { hello?: Buffer | undefined; reads?: boolean } = {},
): Promise<Attacker> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  atEnd(async () => void socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  const over = new Promise((resolve) => socket.once("close", resolve));
  const frames: RawFrame[] = [];
  let unread = EMPTY as Buffer;
  let isOver = false;
  over.then(() => {
    isOver = true;
  });
  if (reads) {
    socket.on("data", (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      const { frames: more, length } = framesIn(unread);
      frames.push(...more);
      unread = unread.subarray(length);
    });
  }
  const encoder = new HpackEncoder();
  const peer: Attacker = {
    socket,
    frames,
    get isOver() {
      return isOver;
    },
    async send(...octets) {
      if (isOver) return;
      await Promise.race([new Promise((resolve) => socket.write(Buffer.concat(octets), resolve)), over]);
    },
    headers(stream, fields, flags = FrameFlag.END_HEADERS) {
      const block = Buffer.alloc(encoder.bound(fields));
      return frame(FrameType.HEADERS, flags, stream, block.subarray(0, encoder.encode(fields, block, 0)));
    },
    async flood(make, most = 1_000_000) {
      for (let turn = 0; turn < most && !isOver; turn += TURNS_AT_ONCE) {
        await peer.send(...Array.from({ length: TURNS_AT_ONCE }, (_, i) => make(turn + i)));
        // Writing alone lets nobody read.
        await new Promise(setImmediate);
      }
    },
    async cutOff() {
      await over;
      const goaway = frames.findLast(({ type }) => type === FrameType.GOAWAY)?.payload;
      // Its text says the code as well.
      return goaway ? goaway.toString("latin1", 8) || errorName(goaway.readUInt32BE(4)) : "nothing";
    },
  };
  if (hello.length > 0) await peer.send(PREFACE, hello);
  return peer;
}

/** What the server has answered: the values of a header, in the order of their answers, with which each of them begins or ends. */
export function statuses({ frames }: Attacker, name = ":status"): string[] {
  const decoder = new HpackDecoder();
  return headerBlocksIn(frames).flatMap((block) =>
    decoder
      .decode(block, 0, block.length)
      .filter((field) => field.name === name)
      .map(({ value }) => value),
  );
}

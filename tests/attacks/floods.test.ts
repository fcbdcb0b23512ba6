import { expect, test } from "vitest";
import { FrameType } from "../../mesh/http2/frame.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { attackedServer } from "./attacked-server.ts";
import { attacker, callHeaders, envelope, settings, uint32 } from "./attacker.ts";

const server = await attackedServer();
const EMPTY = Buffer.alloc(0);
const tooMany = (what: string) => `ENHANCE_YOUR_CALM: too many ${what}`;

test("CONTINUATION without end (CVE-2024-27316)", () =>
  server.survives("CONTINUATION, small", ["CONTINUATIONS"], async () => {
    const peer = await attacker(server.port);
    await peer.send(peer.headers(1, callHeaders("Ask"), 0));
    const literals = Buffer.from("000161016200016101620001610162", "hex");
    await peer.flood(() => frame(FrameType.CONTINUATION, 0, 1, literals));
    expect(await peer.cutOff()).toBe(tooMany("continuations"));
  }));

test("CONTINUATION as large as a frame, without end", () =>
  server.survives("CONTINUATION, large", ["CONTINUATIONS"], async () => {
    const peer = await attacker(server.port);
    await peer.send(peer.headers(1, callHeaders("Ask"), 0));
    await peer.flood(() => frame(FrameType.CONTINUATION, 0, 1, Buffer.alloc(16_384, "000161016200", "hex")));
    expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: a block of headers without end");
  }));

test("streams that are reset as soon as they begin (rapid reset, CVE-2023-44487)", () =>
  server.survives("rapid reset", ["RESETS"], async () => {
    const peer = await attacker(server.port);
    await peer.flood((turn) =>
      Buffer.concat([
        peer.headers(2 * turn + 1, callHeaders("Talk")),
        frame(FrameType.RST_STREAM, 0, 2 * turn + 1, uint32(8)),
      ]),
    );
    expect(await peer.cutOff()).toBe(tooMany("resets"));
  }));

const ended = (stream: number) => frame(FrameType.DATA, FrameFlag.END_STREAM, stream, envelope(EMPTY));

/** Each makes the server end a stream whose handler runs. */
const FAULTS: readonly (readonly [string, (stream: number) => Buffer])[] = [
  ["WINDOW_UPDATE of 0", (stream) => frame(FrameType.WINDOW_UPDATE, 0, stream, uint32(0))],
  ["a window that overflows", (stream) => frame(FrameType.WINDOW_UPDATE, 0, stream, uint32(2 ** 31 - 1))],
  ["PRIORITY of a wrong length", (stream) => frame(FrameType.PRIORITY, 0, stream, EMPTY)],
  [
    "a stream that depends on itself",
    (stream) => frame(FrameType.PRIORITY, 0, stream, Buffer.concat([uint32(stream), Buffer.of(0)])),
  ],
  [
    "DATA after its end",
    (stream) => Buffer.concat([ended(stream), frame(FrameType.DATA, 0, stream, envelope(EMPTY))]),
  ],
  [
    "HEADERS after its end",
    (stream) => {
      const flags = FrameFlag.END_HEADERS | FrameFlag.END_STREAM;
      return Buffer.concat([ended(stream), frame(FrameType.HEADERS, flags, stream, EMPTY)]);
    },
  ],
  ["trailers that end nothing", (stream) => frame(FrameType.HEADERS, FrameFlag.END_HEADERS, stream, EMPTY)],
];

test.each(FAULTS)("a server that is made to end streams (MadeYouReset, CVE-2025-8671): %s", (name, fault) =>
  server.survives(`MadeYouReset, ${name}`, ["FAULTS"], async () => {
    const peer = await attacker(server.port);
    await peer.flood((turn) => {
      const stream = 2 * turn + 1;
      return Buffer.concat([peer.headers(stream, callHeaders("Ignore")), fault(stream)]);
    });
    expect(await peer.cutOff()).toBe(tooMany("faults"));
  }),
);

const FLOODS: readonly (readonly [string, string, (turn: number) => Buffer])[] = [
  ["SETTINGS", "settings", () => settings([1, 4_096])],
  [
    "SETTINGS with all that fits",
    "settings",
    () => settings(...Array.from({ length: 2_730 }, () => [3, 100] as const)),
  ],
  ["SETTINGS with ACK", "settings", () => frame(FrameType.SETTINGS, FrameFlag.ACK, 0, EMPTY)],
  ["PING", "pings", () => frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
  ["PING with ACK", "pings", () => frame(FrameType.PING, FrameFlag.ACK, 0, Buffer.alloc(8))],
  ["PRIORITY", "other frames", (turn) => frame(FrameType.PRIORITY, 0, 2 * turn + 1, Buffer.alloc(5))],
  ["WINDOW_UPDATE", "other frames", () => frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1))],
  ["frames of unknown types", "other frames", () => frame(0xbe, 0, 0, EMPTY)],
  ["large frames of unknown types", "other frames", () => frame(0xbe, 0, 0, Buffer.alloc(1_000))],
];

test.each(FLOODS)("a flood of %s", (name, guard, make) =>
  server.survives(name, [guard.toUpperCase().replace(" ", "_")], async () => {
    const peer = await attacker(server.port);
    await peer.flood(make);
    expect(await peer.cutOff()).toBe(tooMany(guard));
  }),
);

const EMPTY_DATA: readonly (readonly [string, Buffer])[] = [
  ["empty DATA", frame(FrameType.DATA, 0, 1, EMPTY)],
  ["DATA that is all padding", frame(FrameType.DATA, FrameFlag.PADDED, 1, Buffer.of(3, 0, 0, 0))],
];

test.each(EMPTY_DATA)("a flood of %s", (name, data) =>
  server.survives(name, ["EMPTY_DATA"], async () => {
    const peer = await attacker(server.port);
    await peer.send(peer.headers(1, callHeaders("Ignore")));
    await peer.flood(() => data);
    expect(await peer.cutOff()).toBe(tooMany("empty data"));
  }),
);

test("more streams than the server takes", () =>
  server.survives("too many streams", ["FAULTS"], async () => {
    const peer = await attacker(server.port);
    await peer.flood((turn) => peer.headers(2 * turn + 1, callHeaders("Ignore")));
    expect(await peer.cutOff()).toBe(tooMany("faults"));
    const refused = peer.frames.filter(
      ({ type, payload }) => type === FrameType.RST_STREAM && payload[3] === 7,
    );
    expect(refused.length).toBeGreaterThanOrEqual(100);
  }));

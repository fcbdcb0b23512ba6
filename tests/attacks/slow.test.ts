import { connect } from "node:net";
import { expect, test } from "vitest";
import { FrameType, PREFACE } from "../../mesh/http2/frame.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { attackedServer } from "./attacked-server.ts";
import { type Attacker, attacker, callHeaders, envelope } from "./attacker.ts";

// Those who take their time; the limits are short here, so that they are found soon.
const server = await attackedServer({
  firstBytesWithinMs: 400,
  headersWithinMs: 400,
  progressWithinMs: 200,
  maxConnections: 20,
});
const EMPTY = Buffer.alloc(0);

/** Sends an octet now and then until the connection is over. */
async function trickle(peer: Attacker, octets: () => Buffer): Promise<void> {
  while (!peer.isOver) {
    await peer.send(octets());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("a block of headers that never ends, a little at a time", () =>
  server.survives("slow headers", ["SLOW"], async () => {
    const peer = await attacker(server.port);
    await peer.send(peer.headers(1, callHeaders("Ask"), 0));
    await trickle(peer, () => frame(FrameType.CONTINUATION, 0, 1, Buffer.from("00", "hex")));
    expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: headers took too long");
  }));

const HALVES: readonly (readonly [string, (peer: Attacker) => Buffer])[] = [
  ["HEADERS", (peer) => peer.headers(1, callHeaders("Ask"))],
  ["DATA", () => frame(FrameType.DATA, 0, 1, Buffer.alloc(1_000))],
  ["PING", () => frame(FrameType.PING, 0, 0, Buffer.alloc(8))],
];

test.each(HALVES)("half of a frame of %s, and its octets one by one", (name, make) =>
  server.survives(`half of ${name}`, ["SLOW"], async () => {
    const peer = await attacker(server.port);
    const whole = make(peer);
    let sent = Math.floor(whole.length / 2);
    await peer.send(whole.subarray(0, sent));
    await trickle(peer, () => (sent < whole.length - 1 ? whole.subarray(sent, ++sent) : EMPTY));
    expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: a frame took too long");
  }),
);

const BEGINNINGS: readonly (readonly [string, Buffer, string])[] = [
  ["nothing", EMPTY, "nothing"],
  ["less than a protocol", PREFACE.subarray(0, 10), "nothing"],
  ["half a preface", PREFACE.subarray(0, 20), "ENHANCE_YOUR_CALM: the first frame took too long"],
  ["a preface and no frame", PREFACE, "ENHANCE_YOUR_CALM: the first frame took too long"],
];

test.each(BEGINNINGS)("connections that say %s", (name, octets, why) =>
  server.survives(`connections that say ${name}`, ["SLOW"], async () => {
    const peers = await Promise.all(
      Array.from({ length: 10 }, () => attacker(server.port, { hello: EMPTY })),
    );
    for (const peer of peers) await peer.send(octets);
    expect(new Set(await Promise.all(peers.map((peer) => peer.cutOff())))).toEqual(new Set([why]));
  }),
);

test("more connections than there may be: those that are open stay, one more is closed", () =>
  server.survives("too many connections", ["CONNECTIONS"], async () => {
    const { connections } = (await server.figures()).state;
    const peers: Attacker[] = [];
    while (peers.length < 20 - connections) peers.push(await attacker(server.port));
    const more = Array.from({ length: 200 }, () => {
      const socket = connect({ host: "127.0.0.1", port: server.port });
      socket.on("error", () => {});
      return new Promise((resolve) => socket.resume().once("close", resolve));
    });
    await Promise.all(more);
    expect((await server.figures()).state.connections).toBe(20);
    expect(peers.some(({ isOver }) => isOver)).toBe(false);
    for (const { socket } of peers) socket.destroy();
  }));

test("who sends slowly, but does get on, is let be", () =>
  server.survives("slow, and honest", [], async () => {
    const peer = await attacker(server.port);
    await peer.send(peer.headers(1, callHeaders("Ask")));
    const message = envelope(Buffer.from([0x18, 0x01]));
    const begun = performance.now();
    // Longer than each of the limits, an octet of a message in each frame.
    for (let i = 0; performance.now() - begun < 1_000 || i < message.length; i++) {
      if (i < message.length) await peer.send(frame(FrameType.DATA, 0, 1, message.subarray(i, i + 1)));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await peer.send(frame(FrameType.DATA, FrameFlag.END_STREAM, 1, EMPTY));
    while (!peer.frames.some(({ type, flags }) => type === FrameType.HEADERS && flags & 1)) {
      expect(peer.isOver).toBe(false);
      await new Promise(setImmediate);
    }
    peer.socket.destroy();
  }));

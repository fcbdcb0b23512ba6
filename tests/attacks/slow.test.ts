import { connect } from "node:net";
import { expect, test } from "vitest";
import { ErrorCode } from "../../mesh/http2/error-code.ts";
import { FrameType, PREFACE } from "../../mesh/http2/frame.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { until } from "../../mesh/testing/until.ts";
import { attackedServer } from "./attacked-server.ts";
import { type Attacker, attacker, callHeaders, envelope } from "./attacker.ts";

// Those who take their time; the limits are short here, so that they are found soon. What they bound begins with a
// connection, and those who mean well, who are in this process, may be kept from it for a second by a busy machine.
const server = await attackedServer({
  firstBytesWithinMs: 1_500,
  headersWithinMs: 1_500,
  progressWithinMs: 500,
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

test("requests that never come, and messages of which the rest never comes, end one by one, and then the connection", () =>
  server.survives("requests that never come", ["FAULTS"], async () => {
    const peer = await attacker(server.port);
    const part = envelope(Buffer.alloc(100), 1_000);
    for (let i = 0; i < 300; i++) {
      await peer.send(peer.headers(2 * i + 1, callHeaders(i % 3 === 2 ? "Ignore" : "Ask")));
      if (i % 3 > 0) await peer.send(frame(FrameType.DATA, 0, 2 * i + 1, part));
    }
    expect(await peer.cutOff()).toBe("ENHANCE_YOUR_CALM: too many faults");
    const resets = peer.frames.filter(({ type }) => type === FrameType.RST_STREAM);
    expect(new Set(resets.map(({ payload }) => payload[3]))).toEqual(new Set([ErrorCode.CANCEL]));
  }));

test("a few of them cost their streams and no more; a stream that has nothing to say stays", () =>
  server.survives("a few requests that never come", [], async () => {
    const peer = await attacker(server.port);
    for (const [stream, method] of [
      [1, "Ask"],
      [3, "Ignore"],
      [5, "Talk"],
    ] as const) {
      await peer.send(peer.headers(stream, callHeaders(method)));
    }
    await peer.send(frame(FrameType.DATA, 0, 3, envelope(EMPTY, 1_000)));
    const reset = () =>
      peer.frames.filter(({ type }) => type === FrameType.RST_STREAM).map(({ stream }) => stream);
    await until(() => reset().length === 2);
    expect(reset()).toEqual([1, 3]);
    await peer.send(frame(FrameType.DATA, FrameFlag.END_STREAM, 5, EMPTY));
    await until(() => peer.frames.some(({ type, stream }) => type === FrameType.HEADERS && stream === 5));
    peer.socket.destroy();
  }));

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

test("who sends slowly, but does get on, is let be", async () => {
  // As above: a second is no reason.
  const patient = await attackedServer({ progressWithinMs: 1_500 });
  await patient.survives("slow, and honest", [], async () => {
    const peer = await attacker(patient.port);
    await peer.send(peer.headers(1, callHeaders("Ask")));
    // A field of 40 octets; an octet in each frame takes longer than twice the limit.
    const message = envelope(Buffer.from([0x0a, 40, ...Buffer.alloc(40, "x")]));
    for (let i = 0; i < message.length; i++) {
      await peer.send(frame(FrameType.DATA, 0, 1, message.subarray(i, i + 1)));
      await new Promise((resolve) => setTimeout(resolve, 80));
    }
    await peer.send(frame(FrameType.DATA, FrameFlag.END_STREAM, 1, EMPTY));
    while (!peer.frames.some(({ type, flags }) => type === FrameType.HEADERS && flags & 1)) {
      expect(peer.isOver).toBe(false);
      await new Promise(setImmediate);
    }
    peer.socket.destroy();
  });
});

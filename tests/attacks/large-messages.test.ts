import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { FrameType } from "../../mesh/http2/frame.ts";
import { FrameFlag, frame } from "../../mesh/testing/http2-frames.ts";
import { until } from "../../mesh/testing/until.ts";
import { attackedServer } from "./attacked-server.ts";
import { attacker, callHeaders, envelope, statuses, uint32 } from "./attacker.ts";

const server = await attackedServer();
const EMPTY = Buffer.alloc(0);
const MIB = 2 ** 20;

test("messages of which all but the last octet come, on 1,000 streams", () =>
  server.survives("messages in part", [], async () => {
    const peer = await attacker(server.port);
    const part = Buffer.alloc(16_384);
    const whole = 4 * MIB;
    for (let i = 0; i < 1_000; i++) {
      const stream = 2 * i + 1;
      await peer.send(
        peer.headers(stream, callHeaders("Ask")),
        frame(FrameType.DATA, 0, stream, envelope(EMPTY, whole)),
      );
    }
    // As much as 20 of them, a part of each in turn; the server says for which it is too much.
    for (let sent = 0; sent < 80 * MIB; sent += 1_000 * part.length) {
      for (let i = 0; i < 1_000 && !peer.isOver; i++)
        await peer.send(frame(FrameType.DATA, 0, 2 * i + 1, part));
      await new Promise(setImmediate);
    }
    // Twice what it may have: of those that are left, each has as much as all.
    await until(() => peer.frames.filter(({ type }) => type === FrameType.HEADERS).length > 400);
    expect(new Set(statuses(peer, "grpc-status"))).toEqual(new Set(["8"]));
    peer.socket.destroy();
  }));

test("messages that are left in part leave nothing behind: the connection has all that it may have for the next", () =>
  server.survives("messages left in part", [], async () => {
    const peer = await attacker(server.port);
    const octets = envelope(Buffer.alloc(MIB));
    const frames = (stream: number, until: number) => {
      const parts: Buffer[] = [];
      for (let at = 0; at < until; at += 16_384) {
        parts.push(frame(FrameType.DATA, 0, stream, octets.subarray(at, Math.min(at + 16_384, until))));
      }
      return parts;
    };
    for (let i = 0; i < 100; i++) {
      const stream = 2 * i + 1;
      await peer.send(
        peer.headers(stream, callHeaders(i % 2 ? "Ask" : "Ignore")),
        ...frames(stream, 900_000),
      );
      await peer.send(frame(FrameType.RST_STREAM, 0, stream, uint32(8)));
      await new Promise(setImmediate);
    }
    const last = frame(FrameType.DATA, FrameFlag.END_STREAM, 1_001, EMPTY);
    await peer.send(peer.headers(1_001, callHeaders("Ask")), ...frames(1_001, octets.length), last);
    // It is no message of the contract, but it has come whole.
    await until(() => statuses(peer, "grpc-status").length === 1);
    expect(statuses(peer, "grpc-status")).not.toEqual(["8"]);
    peer.socket.destroy();
  }));

test("messages that are announced with 4 GiB", () =>
  server.survives("announced 4 GiB", [], async () => {
    const peer = await attacker(server.port);
    for (let i = 0; i < 500; i++) {
      const data = frame(FrameType.DATA, 0, 2 * i + 1, envelope(EMPTY, 2 ** 32 - 1));
      await peer.send(peer.headers(2 * i + 1, callHeaders(i % 2 ? "Ask" : "Ignore")), data);
    }
    await until(() => peer.frames.filter(({ type }) => type === FrameType.HEADERS).length === 500);
    expect(new Set(statuses(peer, "grpc-status"))).toEqual(new Set(["8"]));
    peer.socket.destroy();
  }));

test("gzip bombs", () =>
  server.survives("gzip bombs", [], async () => {
    const peer = await attacker(server.port);
    const small = gzipSync(Buffer.alloc(64 * MIB));
    const gzip = callHeaders("Ask", [{ name: "grpc-encoding", value: "gzip" }]);
    for (let i = 0; i < 50; i++) {
      const octets = envelope(small, small.length, 1);
      const frames = Array.from({ length: Math.ceil(octets.length / 16_384) }, (_, part) => {
        const payload = octets.subarray(part * 16_384, (part + 1) * 16_384);
        return frame(
          FrameType.DATA,
          part * 16_384 + payload.length === octets.length ? 1 : 0,
          2 * i + 1,
          payload,
        );
      });
      await peer.send(peer.headers(2 * i + 1, gzip), ...frames);
    }
    await until(() => statuses(peer, "grpc-status").length === 50);
    expect(new Set(statuses(peer, "grpc-status"))).toEqual(new Set(["8"]));
    peer.socket.destroy();
  }));

test("messages of no octets, as many as windows allow, for handlers that read nothing", () =>
  server.survives("messages of no octets", [], async () => {
    const peer = await attacker(server.port);
    const many = frame(FrameType.DATA, 0, 1, Buffer.alloc(16_384 - (16_384 % 5)));
    const streams = 100;
    for (let i = 0; i < streams; i++) {
      await peer.send(peer.headers(2 * i + 1, callHeaders("Ignore")));
      many.writeUInt32BE(2 * i + 1, 5);
      for (let sent = many.length; sent < 262_144; sent += many.length) await peer.send(many);
      await new Promise(setImmediate);
    }
    await until(() => server.figures().then(({ state }) => state.streams >= streams));
    peer.socket.destroy();
  }));

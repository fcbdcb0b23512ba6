import { once } from "node:events";
import * as net from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { deliveryOf } from "../../mesh/core/delivery.ts";
import { grpcTransport } from "../../mesh/grpc/transport.ts";
import { Client } from "../../mesh/http2/client.ts";
import { ErrorCode } from "../../mesh/http2/error-code.ts";
import { FrameType, PREFACE } from "../../mesh/http2/frame.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { frame, framesIn } from "../../mesh/testing/http2-frames.ts";
import type { ToyRequest, ToyResponse } from "../../mesh/testing/toy-calls.ts";
import { until } from "../../mesh/testing/until.ts";
import { attackedServer } from "./attacked-server.ts";
import { settings, uint32 } from "./attacker.ts";
import { service } from "./contract.ts";

const HOST = "127.0.0.1";

/** One that soon asks a server whether it lives. */
const SUSPICIOUS = { keepaliveMs: 100, keepaliveTimeoutMs: 200 };

function clientTo(port: number, keepalive: Partial<typeof SUSPICIOUS> = {}) {
  const client = new Client({
    connect: () => net.connect({ host: HOST, port, noDelay: true }),
    ...keepalive,
  });
  atEnd(async () => client.close());
  return createClient(service, grpcTransport(client, { authority: `${HOST}:${port}` })) as unknown as {
    ask(message: Partial<ToyRequest>, options?: { timeoutMs: number }): Promise<ToyResponse>;
    watch(message: Partial<ToyRequest>): AsyncIterable<ToyResponse>;
  };
}

const outcome = (call: Promise<unknown>) =>
  call.then(
    () => ["answered", undefined],
    (error) => [Code[ConnectError.from(error).code], deliveryOf(error)],
  );

test("calls to a process that stands still end at their deadlines, or as LOST when it does not say that it lives", async () => {
  const server = await attackedServer();
  const calls = clientTo(server.port, SUSPICIOUS);
  // On a busy machine a process that goes on may seem to stand still.
  const answers = () =>
    calls.ask({ n: 3 }).then(
      ({ text }) => text === "xxx",
      () => false,
    );
  await until(answers);
  server.child.kill("SIGSTOP");
  const watching = calls.watch({ n: 1 })[Symbol.asyncIterator]().next();
  const ends = [calls.ask({}, { timeoutMs: 50 }), calls.ask({}), watching].map(outcome);
  expect(await Promise.all(ends)).toEqual([
    ["DeadlineExceeded", undefined],
    ["Unavailable", "LOST"],
    ["Unavailable", "LOST"],
  ]);
  server.child.kill("SIGCONT");
  await until(answers);
});

/** What a server does with the first stream that is begun, and what becomes of its call. */
const DEATHS: readonly (readonly [
  string,
  (socket: net.Socket) => void,
  readonly [string, string | undefined],
])[] = [
  [
    "refuses the stream",
    (socket) => socket.write(frame(FrameType.RST_STREAM, 0, 1, uint32(ErrorCode.REFUSED_STREAM))),
    ["Unavailable", "REFUSED"],
  ],
  [
    "goes away, and has not looked at it",
    (socket) => socket.write(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(0), uint32(0)]))),
    ["Unavailable", "REFUSED"],
  ],
  [
    "goes away, has looked at it, and closes the connection",
    (socket) => socket.end(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(0)]))),
    ["Unavailable", "LOST"],
  ],
  ["closes the connection", (socket) => socket.end(), ["Unavailable", "LOST"]],
  ["resets the connection", (socket) => socket.resetAndDestroy(), ["Unavailable", "LOST"]],
  [
    "ends the stream by a fault",
    (socket) => socket.write(frame(FrameType.RST_STREAM, 0, 1, uint32(ErrorCode.INTERNAL_ERROR))),
    ["Internal", undefined],
  ],
  ["speaks no HTTP/2", (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), ["Unavailable", "LOST"]],
];

test.each(DEATHS)("a server that %s", async (_, die, expected) => {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.write(settings());
    let unread = Buffer.alloc(0);
    let isBegun = false;
    socket.on("data", (chunk: Buffer) => {
      unread = Buffer.concat([unread, chunk]);
      const { frames } = framesIn(unread.subarray(PREFACE.length));
      if (isBegun || !frames.some(({ type }) => type === FrameType.HEADERS)) return;
      isBegun = true;
      die(socket);
    });
    atEnd(async () => void socket.destroy());
  });
  server.listen(0, HOST);
  await once(server, "listening");
  atEnd(async () => void server.close());
  const { port } = server.address() as net.AddressInfo;
  expect(await outcome(clientTo(port).ask({}))).toEqual(expected);
});

test("nobody listens", async () => {
  const server = net.createServer();
  server.listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  expect(await outcome(clientTo(port).ask({}))).toEqual(["Unavailable", "NOT_SENT"]);
});

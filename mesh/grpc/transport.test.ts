import { create, toBinary } from "@bufbuild/protobuf";
import { Code, type Interceptor } from "@connectrpc/connect";
import { afterEach, expect, test, vi } from "vitest";
import {
  GetProductRequestSchema,
  GetProductResponseSchema,
  ProductService,
} from "../../gen/shop/product/v1/product_service_pb.ts";
import { MAX_TIMER_MS } from "../core/clock.ts";
import { deliveryOf } from "../core/delivery.ts";
import { LazyAbort } from "../core/signal.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { FrameType } from "../http2/frame.ts";
import { settings, uint32 } from "../http2/raw-peer.ts";
import { frame } from "../testing/http2-frames.ts";
import { gzip } from "./compression.ts";
import { ANSWER, message, transportToPeer } from "./grpc-peer.ts";
import type { GrpcTransportOptions } from "./transport.ts";

const { getProduct, watchStock } = ProductService.method;
const EMPTY = new Uint8Array(0);
const BREAD = toBinary(GetProductResponseSchema, create(GetProductResponseSchema));

afterEach(() => void vi.useRealTimers());

/** Calls in both shapes, so that what holds for both is tested on both. */
function calling(options: Partial<GrpcTransportOptions> = {}) {
  const to = transportToPeer(options);
  const { transport } = to;
  async function* question() {
    yield { productIds: ["p1"] };
  }
  return {
    ...to,
    unary: (signal?: AbortSignal, timeoutMs?: number, header?: Record<string, string>) =>
      transport.unary(getProduct, signal, timeoutMs, header, { productId: "p1" }),
    streamed: async (signal?: AbortSignal, timeoutMs?: number, header?: Record<string, string>) => {
      const { message } = await transport.stream(watchStock, signal, timeoutMs, header, question());
      return Array.fromAsync(message);
    },
  };
}
const KINDS = ["unary", "streamed"] as const;

test.each(KINDS)("a call says what gRPC asks for (%s)", async (kind) => {
  const { peer, client, ...call } = calling();
  const answered = call[kind](undefined, 2_500, { "x-own": "1", "grpc-timeout": "9H" }).catch(() => {});
  const { headers, stream, flags } = await peer().next(FrameType.HEADERS);
  const method = kind === "unary" ? "GetProduct" : "WatchStock";
  expect(headers).toEqual([
    ":method: POST",
    ":scheme: http",
    `:path: /shop.product.v1.ProductService/${method}`,
    ":authority: localhost",
    "te: trailers",
    "content-type: application/grpc+proto",
    expect.stringMatching(/^user-agent: grpc-node-weft\/\d/),
    "grpc-accept-encoding: gzip",
    "x-own: 1",
    "grpc-timeout: 2500m",
  ]);
  expect([stream, flags]).toEqual([1, 0x4]);
  const { payload } = await peer().next(FrameType.DATA);
  expect(payload.readUInt32BE(1)).toBe(payload.length - 5);
  client.close();
  await answered;
});

test("a question is what was asked, in proto, in JSON, and compressed", async () => {
  const plain = calling();
  plain.unary().catch(() => {});
  const { payload, flags } = await plain.peer().next(FrameType.DATA);
  const bytes = toBinary(GetProductRequestSchema, create(GetProductRequestSchema, { productId: "p1" }));
  expect([payload.subarray(5), flags]).toEqual([Buffer.from(bytes), 1]);
  const json = calling({ format: "json" });
  json.unary().catch(() => {});
  expect(String((await json.peer().next(FrameType.DATA)).payload.subarray(5))).toBe('{"productId":"p1"}');
  expect((await json.peer().next(FrameType.HEADERS)).headers).toContain(
    "content-type: application/grpc+json",
  );
  const zipped = calling({ compression: gzip });
  zipped.unary().catch(() => {});
  await vi.waitUntil(() => zipped.peers.length > 0, { timeout: 20_000 });
  const compressed = await zipped.peer().next(FrameType.DATA);
  expect(compressed.payload[0]).toBe(1);
  expect(Buffer.from(await gzip.decompress(compressed.payload.subarray(5), 100))).toEqual(Buffer.from(bytes));
  for (const { client } of [plain, json, zipped]) client.close();
});

test.each(KINDS)("a timeout of 0 or less is over before anything is sent (%s)", async (kind) => {
  for (const timeoutMs of [0, -1, Number.NEGATIVE_INFINITY]) {
    const { peers, ...call } = calling();
    await expect(call[kind](undefined, timeoutMs)).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(peers).toHaveLength(0);
  }
});

test.each(KINDS)("a timeout that no timer can wait for is as long as a timer can (%s)", async (kind) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { peer, client, ...call } = calling();
  const answered = call[kind](undefined, 2 ** 31 + 5).catch((error) => error);
  const { headers } = await peer().next(FrameType.HEADERS);
  expect(headers.at(-1)).toMatch(/^grpc-timeout: \d{1,8}[HMS]$/);
  vi.advanceTimersByTime(MAX_TIMER_MS - 1);
  await peer().settled();
  expect(peer().came.filter(({ type }) => type === FrameType.RST_STREAM)).toEqual([]);
  client.close();
  expect(deliveryOf(await answered)).toBe("LOST");
});

test.each(KINDS)("at the deadline the call ends and its stream is reset (%s)", async (kind) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { peer, ...call } = calling();
  const answered = call[kind](undefined, 100).catch((error) => error);
  await peer().next(FrameType.HEADERS);
  vi.advanceTimersByTime(100);
  expect((await answered).code).toBe(Code.DeadlineExceeded);
  expect((await peer().next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.CANCEL));
  expect(vi.getTimerCount()).toBe(1);
});

test.each(KINDS)(
  "who leaves while it is under way gets CANCELED, and the server is told (%s)",
  async (kind) => {
    const { peer, ...call } = calling();
    const leaving = new AbortController();
    const answered = call[kind](leaving.signal).catch((error) => error);
    await peer().next(FrameType.HEADERS);
    leaving.abort();
    expect((await answered).code).toBe(Code.Canceled);
    expect((await peer().next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.CANCEL));
  },
);

test.each(KINDS)("who leaves while it connects is let go at once, and nothing is sent (%s)", async (kind) => {
  const { peer, peers, ...call } = calling();
  const leaving = new AbortController();
  const answered = call[kind](leaving.signal).catch((error) => error);
  expect(peers).toHaveLength(1);
  leaving.abort();
  expect((await answered).code).toBe(Code.Canceled);
  await peer().settled();
  expect(peer().came.filter(({ type }) => type === FrameType.HEADERS)).toEqual([]);
});

test.each(KINDS)("who has left before is not even connected (%s)", async (kind) => {
  const { peers, ...call } = calling();
  await expect(call[kind](AbortSignal.abort())).rejects.toMatchObject({ code: Code.Canceled });
  expect(peers).toHaveLength(0);
});

test("who leaves while the question is compressed is let go, and nothing is sent", async () => {
  const zipping = Promise.withResolvers<Uint8Array>();
  const { peers, unary } = calling({ compression: { ...gzip, compress: () => zipping.promise } });
  const leaving = new AbortController();
  const answered = unary(leaving.signal).catch((error) => error);
  leaving.abort();
  zipping.resolve(EMPTY);
  expect((await answered).code).toBe(Code.Canceled);
  expect(peers).toHaveLength(0);
});

test.each(KINDS)("no listener is left on a signal whose call is over (%s)", async (kind) => {
  const { peer, ...call } = calling();
  const { signal } = new AbortController();
  const added = vi.spyOn(signal, "addEventListener");
  const removed = vi.spyOn(signal, "removeEventListener");
  const answered = call[kind](signal);
  await peer().next(FrameType.HEADERS);
  peer().send(peer().headers(1, ANSWER), message(1, BREAD), peer().headers(1, ["grpc-status: 0"], true));
  await answered;
  expect(added.mock.calls.length).toBe(1);
  expect(removed.mock.calls.map(([, act]) => act)).toEqual(added.mock.calls.map(([, act]) => act));
});

test.each(KINDS)("how a call failed below the protocol stands among its causes (%s)", async (kind) => {
  const failed = async (fail: (to: ReturnType<typeof calling>) => unknown) => {
    const to = calling();
    const answered = to[kind]().catch((error) => error);
    await to.peer().next(FrameType.DATA);
    fail(to);
    const error = await answered;
    return [error.code, deliveryOf(error)];
  };
  const reset = (code: number) => (to: ReturnType<typeof calling>) =>
    to.peer().send(frame(FrameType.RST_STREAM, 0, 1, uint32(code)));
  const goaway = Buffer.concat([uint32(0), uint32(0)]);
  expect(await failed(({ peer }) => peer().destroy())).toEqual([Code.Unavailable, "LOST"]);
  expect(await failed(({ peer }) => peer().end())).toEqual([Code.Unavailable, "LOST"]);
  expect(await failed(({ client }) => client.close())).toEqual([Code.Unavailable, "LOST"]);
  expect(await failed(reset(ErrorCode.REFUSED_STREAM))).toEqual([Code.Unavailable, "REFUSED"]);
  expect(await failed(({ peer }) => peer().send(frame(FrameType.GOAWAY, 0, 0, goaway)))).toEqual([
    Code.Unavailable,
    "REFUSED",
  ]);
  expect(await failed(reset(ErrorCode.CANCEL))).toEqual([Code.Canceled, undefined]);
  // Closed without an error, before it was answered: it settles all the same.
  expect(await failed(reset(ErrorCode.NO_ERROR))).toEqual([Code.Internal, undefined]);
});

test.each(KINDS)("what was never sent says so (%s)", async (kind) => {
  const { client, ...call } = calling();
  const waiting = call[kind]().catch((error) => error);
  client.close();
  expect([(await waiting).code, deliveryOf(await waiting)]).toEqual([Code.Unavailable, "NOT_SENT"]);
  const late = await call[kind]().catch((error) => error);
  expect([late.code, deliveryOf(late)]).toEqual([Code.Unavailable, "NOT_SENT"]);
});

test("GOAWAY on an idle connection hurts nobody, and the next call opens another", async () => {
  const { peers, peer, unary } = calling();
  const answer = () => {
    const to = peer();
    to.send(to.headers(1, ANSWER), message(1, BREAD), to.headers(1, ["grpc-status: 0"], true));
  };
  const first = unary();
  await peer().next(FrameType.DATA);
  answer();
  await first;
  peer().send(frame(FrameType.GOAWAY, 0, 0, Buffer.concat([uint32(1), uint32(ErrorCode.NO_ERROR)])));
  await peer().ended;
  const second = unary();
  expect(peers).toHaveLength(2);
  await peer().next(FrameType.DATA);
  answer();
  await second;
});

test("a call that the server has no room for waits, and is begun in its turn", async () => {
  const { peer, unary } = calling();
  const first = unary();
  await peer().next(FrameType.DATA);
  peer().send(frame(FrameType.SETTINGS, 0, 0, settings({ 3: 1 })));
  await peer().settled();
  const second = unary();
  await peer().settled();
  expect(peer().came.filter(({ type }) => type === FrameType.HEADERS)).toHaveLength(1);
  for (const id of [1, 3]) {
    peer().send(peer().headers(id, ANSWER), message(id, BREAD), peer().headers(id, ["grpc-status: 0"], true));
    if (id === 1) await peer().next(FrameType.DATA, 3);
  }
  await Promise.all([first, second]);
});

test("metadata that gRPC cannot carry is an error of the call, and nothing is sent", async () => {
  for (const kind of KINDS) {
    const { peers, ...call } = calling();
    await expect(call[kind](undefined, undefined, { "x-bad": "a\u0001" })).rejects.toMatchObject({
      code: Code.Internal,
    });
    expect(peers).toHaveLength(0);
  }
});

test.each(KINDS)("interceptors see the call, the first one outermost (%s)", async (kind) => {
  const order: string[] = [];
  const named =
    (name: string): Interceptor =>
    (next) =>
    async (request) => {
      order.push(`${name} ${request.method.name} ${request.url}`);
      request.header.set(`x-${name}`, "1");
      return next(request);
    };
  const { peer, ...call } = calling({ interceptors: [named("a"), named("b")] });
  const answered = call[kind]();
  await vi.waitUntil(() => peer());
  const { headers } = await peer().next(FrameType.HEADERS);
  const method = kind === "unary" ? "GetProduct" : "WatchStock";
  const url = `http://localhost/shop.product.v1.ProductService/${method}`;
  expect(order).toEqual([`a ${method} ${url}`, `b ${method} ${url}`]);
  expect(headers).toEqual(expect.arrayContaining(["x-a: 1", "x-b: 1"]));
  peer().send(peer().headers(1, ANSWER), message(1, BREAD), peer().headers(1, ["grpc-status: 0"], true));
  await answered;
});

test("a caller that watches both itself ends a unary call in place of a signal and a timer", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const ending = new LazyAbort();
  const { peer, transport } = calling({ endingOf: () => ending });
  const values = { get: () => undefined, set: () => values, delete: () => values } as never;
  const answered = transport
    .unary(getProduct, undefined, 100, undefined, { productId: "p1" }, values)
    .catch((error) => error);
  expect((await peer().next(FrameType.HEADERS)).headers.at(-1)).toBe("grpc-timeout: 100m");
  vi.advanceTimersByTime(1_000);
  await peer().settled();
  expect(peer().came.filter(({ type }) => type === FrameType.RST_STREAM)).toEqual([]);
  ending.abort(new Error("enough"));
  expect(await answered).toMatchObject({ code: Code.Canceled, rawMessage: "enough" });
});

import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { afterEach, expect, test, vi } from "vitest";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ImportProductsRequestSchema,
  ProductService,
  WatchStockRequestSchema,
  WatchStockResponseSchema,
} from "../../gen/shop/product/v1/product_service_pb.ts";
import { FrameType } from "../http2/frame.ts";
import { type RawPeer, settings, uint32 } from "../http2/raw-peer.ts";
import { frame } from "../testing/http2-frames.ts";
import { callHeaders, data, message, messagesIn, serverOfPeer } from "./grpc-peer.ts";

const WATCH = "/shop.product.v1.ProductService/WatchStock";
const IMPORT = "/shop.product.v1.ProductService/ImportProducts";
const REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const watch = toBinary(WatchStockRequestSchema, create(WatchStockRequestSchema, { productIds: ["p1"] }));
const row = toBinary(ImportProductsRequestSchema, create(ImportProductsRequestSchema, {}));
const host = (name: string) =>
  toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { host: name }));

afterEach(() => void vi.useRealTimers());

function serving(
  handlers: Partial<ServiceImpl<typeof ProductService>> & Partial<ServiceImpl<typeof ServerReflection>>,
) {
  const served = serverOfPeer(
    (router) => {
      router.service(ProductService, handlers);
      router.service(ServerReflection, handlers);
    },
    { maxMessageBytes: 100_000 },
  );
  const { peer } = served;
  const open = (path: string, headers: readonly string[] = []) =>
    peer.send(peer.headers(1, [...callHeaders(path), ...headers]));
  return { ...served, open };
}

async function last(peer: RawPeer): Promise<readonly string[]> {
  for (;;) {
    const found = await peer.next(FrameType.HEADERS);
    if (found.flags & 1) return found.headers;
  }
}

/** Handlers of each kind that hang until the test lets them end, whatever their signals say. */
function hanging() {
  const begun = Promise.withResolvers<AbortSignal>();
  const go = Promise.withResolvers<void>();
  const hang = async (signal: AbortSignal) => {
    begun.resolve(signal);
    await go.promise;
  };
  const served = serving({
    async *watchStock(_, { signal }) {
      await hang(signal);
      yield {};
    },
    async importProducts(_, { signal }) {
      await hang(signal);
      return {};
    },
    async *serverReflectionInfo(_, { signal }) {
      await hang(signal);
      yield {};
    },
  });
  return { ...served, begun: begun.promise, go: go.resolve };
}
const KINDS = [
  ["one question, many answers", WATCH, [message(1, watch, true)]],
  ["many questions, one answer", IMPORT, [message(1, row)]],
  ["both in turns", REFLECT, [message(1, host("a"))]],
] as const;

test("each answer leaves when it is made, and what the handler said before and after them", async () => {
  const go = Promise.withResolvers<void>();
  const { peer, open } = serving({
    async *watchStock({ productIds }, { responseHeader, responseTrailer }) {
      responseHeader.set("x-a", "1");
      yield { productId: productIds[0] ?? "" };
      await go.promise;
      responseTrailer.set("x-b", "2");
      yield { productId: "p2" };
    },
  });
  open(WATCH);
  peer.send(message(1, watch, true));
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([
    ":status: 200",
    "content-type: application/grpc+proto",
    "x-a: 1",
  ]);
  await peer.next(FrameType.DATA);
  go.resolve();
  expect(await last(peer)).toEqual(["grpc-status: 0", "x-b: 2"]);
  expect(messagesIn(peer.came).map((bytes) => bytes.toString().slice(-2))).toEqual(["p1", "p2"]);
});

test("an answer may come before the last question, who need not say the rest", async () => {
  const { peer, open, connection } = serving({
    async *serverReflectionInfo(questions) {
      for await (const question of questions) {
        yield { validHost: question.host };
        if (question.host === "b") return;
      }
    },
  });
  open(REFLECT);
  peer.send(message(1, host("a")));
  await peer.next(FrameType.DATA);
  peer.send(message(1, host("b")));
  expect(await last(peer)).toEqual(["grpc-status: 0"]);
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(0));
  peer.send(message(1, host("c"), true));
  await peer.settled();
  expect([connection.streams.size, connection.isClosed]).toEqual([0, false]);
});

test("an error before any answer is Trailers-Only; one after it is not", async () => {
  const { peer, open } = serving({
    async *watchStock(_) {
      yield {};
      throw new ConnectError("sold out", Code.FailedPrecondition);
    },
    async importProducts() {
      throw new ConnectError("there is none", Code.NotFound);
    },
  });
  open(IMPORT);
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({
    headers: expect.arrayContaining([":status: 200", "grpc-status: 5"]),
    flags: 0x5,
  });
  peer.send(peer.headers(3, callHeaders(WATCH)), message(3, watch, true));
  expect((await peer.next(FrameType.HEADERS, 3)).flags).toBe(0x4);
  expect(await last(peer)).toEqual(["grpc-status: 9", "grpc-message: sold out"]);
});

test.each(KINDS)(
  "the deadline is answered though the handler does not heed it: %s",
  async (_, path, frames) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { peer, open, begun, go, server } = hanging();
    open(path, ["grpc-timeout: 100m"]);
    peer.send(...frames);
    const signal = await begun;
    vi.advanceTimersByTime(100);
    const { headers, flags } = await peer.next(FrameType.HEADERS);
    expect([headers.includes("grpc-status: 4"), flags]).toEqual([true, 0x5]);
    expect([server.abandonedHandlers(), signal.aborted]).toEqual([1, true]);
    go();
    await vi.waitUntil(() => server.abandonedHandlers() === 0);
    await peer.settled();
    expect(server.abandonedHandlers()).toBe(0);
    expect(
      peer.came.filter(({ type }) => type === FrameType.HEADERS || type === FrameType.DATA),
    ).toHaveLength(1);
  },
);

test.each(KINDS)(
  "who leaves reaches the handler, which is counted until it ends: %s",
  async (_, path, frames) => {
    const { peer, open, begun, go, server, connection } = hanging();
    open(path);
    peer.send(...frames);
    const signal = await begun;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    peer.send(frame(FrameType.RST_STREAM, 0, 1, uint32(8)));
    await aborted;
    expect([signal.reason.code, server.abandonedHandlers()]).toEqual([Code.Canceled, 1]);
    go();
    await vi.waitUntil(() => server.abandonedHandlers() === 0);
    expect([connection.streams.size, connection.heldBytes]).toEqual([0, 0]);
  },
);

test("a handler that waits for the next question is told that its caller has left", async () => {
  const told = Promise.withResolvers<unknown>();
  const begun = Promise.withResolvers<void>();
  const { peer, open, server } = serving({
    async importProducts(rows) {
      try {
        for await (const _ of rows) begun.resolve();
      } catch (error) {
        told.resolve(error);
        throw error;
      }
      return {};
    },
  });
  open(IMPORT);
  peer.send(message(1, row));
  await begun.promise;
  peer.send(frame(FrameType.RST_STREAM, 0, 1, uint32(8)));
  expect(await told.promise).toMatchObject({ code: Code.Canceled });
  await vi.waitUntil(() => server.abandonedHandlers() === 0);
});

test("a handler that waits for its reader is told too, and sends nothing more", async () => {
  let made = 0;
  const ended = Promise.withResolvers<void>();
  const { peer, open, connection, server } = serving({
    async *watchStock() {
      try {
        for (; ; made++) yield { productId: "x".repeat(20_000) };
      } finally {
        ended.resolve();
      }
    },
  });
  open(WATCH);
  peer.send(message(1, watch, true));
  await peer.next(FrameType.HEADERS);
  await vi.waitUntil(() => connection.heldBytes > 0);
  await peer.settled();
  // The window, and no more than one answer behind it.
  expect(made).toBe(3);
  peer.send(frame(FrameType.RST_STREAM, 0, 1, uint32(8)));
  await ended.promise;
  await vi.waitUntil(() => server.abandonedHandlers() === 0);
  expect([connection.heldBytes, connection.streams.size]).toEqual([0, 0]);
});

test("after the deadline nothing is answered behind the status, though its reader reads again", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  let made = 0;
  const { peer, open, connection, server } = serving({
    async *watchStock() {
      for (; ; made++) yield { productId: "x".repeat(20_000) };
    },
  });
  open(WATCH, ["grpc-timeout: 100m"]);
  peer.send(message(1, watch, true));
  await vi.waitUntil(() => connection.heldBytes > 0);
  vi.advanceTimersByTime(100);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1_000_000)));
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1_000_000)));
  expect(await last(peer)).toContain("grpc-status: 4");
  await vi.waitUntil(() => server.abandonedHandlers() === 0);
  await peer.settled();
  const bytes = peer.came
    .filter(({ type }) => type === FrameType.DATA)
    .reduce((sum, { payload }) => sum + payload.length, 0);
  const answer = toBinary(
    WatchStockResponseSchema,
    create(WatchStockResponseSchema, { productId: "x".repeat(20_000) }),
  );
  // Whole answers, those before the deadline.
  expect([bytes % (5 + answer.length), connection.heldBytes, connection.streams.size]).toEqual([0, 0, 0]);
  expect(peer.came.at(-2)?.type).not.toBe(FrameType.DATA);
  expect(made).toBe(4);
});

test.each<[string, Code, Buffer]>([
  ["too long", Code.ResourceExhausted, data(1, Buffer.from([0, 127, 0, 0, 0]))],
  ["of flags that gRPC has not", Code.Internal, data(1, Buffer.from([2, 0, 0, 0, 0]))],
  ["cut off", Code.Internal, data(1, Buffer.from([0, 0, 0, 0, 5, 1]), true)],
  ["unreadable", Code.Internal, message(1, Buffer.of(255), true)],
])("a question that is %s ends the call, and no other of the connection", async (_, code, octets) => {
  const { peer, open, connection } = serving({
    async importProducts(rows) {
      for await (const _ of rows);
      return {};
    },
  });
  open(IMPORT);
  peer.send(octets);
  expect(await last(peer)).toContain(`grpc-status: ${code}`);
  await vi.waitUntil(() => connection.streams.size === 0);
  expect([connection.isClosed, connection.heldBytes]).toEqual([false, 0]);
});

test("who asks no more questions may still be answered", async () => {
  const { peer, open } = serving({
    async importProducts(rows) {
      for await (const _ of rows) break;
      return { createdCount: 1 };
    },
  });
  open(IMPORT);
  peer.send(message(1, row), message(1, row));
  expect(await last(peer)).toEqual(["grpc-status: 0"]);
  expect(messagesIn(peer.came)).toHaveLength(1);
});

test("questions that a handler does not read hold their caller back at the window", async () => {
  const { peer, open, begun, go, connection } = hanging();
  open(IMPORT);
  const large = message(1, Buffer.concat([Buffer.alloc(16_000)]));
  for (let i = 0; i < 16; i++) peer.send(large);
  await begun;
  await peer.settled();
  expect(peer.came.filter(({ type, stream }) => type === FrameType.WINDOW_UPDATE && stream === 1)).toEqual(
    [],
  );
  peer.send(large);
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(3));
  expect(connection.streams.size).toBe(0);
  go();
});

test.each(["header", "trailer"] as const)(
  "a %s that gRPC cannot carry is an error that arrives",
  async (which) => {
    const { peer, open } = serving({
      async *watchStock(_, context) {
        (which === "header" ? context.responseHeader : context.responseTrailer).set("x!y", "1");
        yield {};
      },
    });
    open(WATCH);
    peer.send(message(1, watch, true));
    expect(await last(peer)).toContain("grpc-status: 13");
  },
);

test("answers wait for a window, and trailers behind them", async () => {
  const { peer, open } = serving({
    async *watchStock() {
      yield { productId: "p1" };
    },
  });
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 0 })));
  open(WATCH);
  peer.send(message(1, watch, true));
  await peer.next(FrameType.HEADERS);
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.DATA)).toEqual([]);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(100)));
  expect(await last(peer)).toEqual(["grpc-status: 0"]);
  expect(messagesIn(peer.came)).toHaveLength(1);
});

test("who has more to ask at the deadline is told to stop when the status has left, however long that takes", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { peer, open, connection } = serving({
    async *serverReflectionInfo() {
      yield { validHost: "x".repeat(100) };
    },
  });
  peer.send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: 10 })));
  open(REFLECT, ["grpc-timeout: 100m"]);
  await peer.next(FrameType.DATA);
  vi.advanceTimersByTime(100);
  await peer.settled();
  expect(connection.streams.size).toBe(1);
  peer.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1_000)));
  expect(await last(peer)).toContain("grpc-status: 4");
  vi.advanceTimersByTime(100);
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(0));
  expect(connection.streams.size).toBe(0);
});

test("a handler that was left is counted down once, though its end fails too", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const { peer, open, server } = serving({
    // biome-ignore lint/correctness/useYield: it ends without an answer
    async *watchStock(_, { responseHeader }) {
      begun.resolve();
      await go.promise;
      responseHeader.set("x!y", "1");
    },
  });
  open(WATCH, ["grpc-timeout: 100m"]);
  peer.send(message(1, watch, true));
  await begun.promise;
  vi.advanceTimersByTime(100);
  expect(server.abandonedHandlers()).toBe(1);
  go.resolve();
  for (let i = 0; i < 3; i++) await peer.settled();
  expect(server.abandonedHandlers()).toBe(0);
});

import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { afterEach, expect, test, vi } from "vitest";
import {
  GetProductRequestSchema,
  type GetProductResponse,
  ProductService,
} from "../../gen/shop/product/v1/product_service_pb.ts";
import { FrameType } from "../http2/frame.ts";
import { uint32 } from "../http2/raw-peer.ts";
import { frame, framesIn } from "../testing/http2-frames.ts";
import { gzip } from "./compression.ts";
import { callHeaders, data, message, messagesIn, serverOfPeer } from "./grpc-peer.ts";
import type { GrpcServerOptions } from "./server.ts";

const PATH = "/shop.product.v1.ProductService/GetProduct";
const asking = (productId: string) =>
  toBinary(GetProductRequestSchema, create(GetProductRequestSchema, { productId }));

afterEach(() => void vi.useRealTimers());

type Handler = (
  productId: string,
  context: HandlerContext,
) => Promise<{ product?: { name: string } }> | { product?: { name: string } };

function serving(handler: Handler, options: Partial<GrpcServerOptions> = {}) {
  const served = serverOfPeer(
    (router) =>
      router.service(ProductService, {
        getProduct: async ({ productId }, context) =>
          (await handler(productId, context)) as unknown as GetProductResponse,
      }),
    options,
  );
  const { peer } = served;
  const call = (id: number, headers: readonly string[] = [], productId = "p1") =>
    peer.send(peer.headers(id, [...callHeaders(PATH), ...headers]), message(id, asking(productId), true));
  return { ...served, call };
}

/** A handler that ends when the test says so, whatever its signal says. */
function stubborn() {
  const begun = Promise.withResolvers<HandlerContext>();
  const go = Promise.withResolvers<void>();
  const handler: Handler = async (_, context) => {
    begun.resolve(context);
    await go.promise;
    return {};
  };
  return { handler, begun: begun.promise, go: go.resolve };
}

test("an answer is headers, one message and trailers, with what the handler said", async () => {
  const { peer, call } = serving((productId, { responseHeader, responseTrailer }) => {
    responseHeader.set("x-a", "1");
    responseTrailer.set("x-b", "2");
    return { product: { name: productId } };
  });
  call(1);
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual([
    ":status: 200",
    "content-type: application/grpc+proto",
    "x-a: 1",
  ]);
  expect(String(messagesIn(peer.came)[0])).toContain("p1");
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({
    headers: ["grpc-status: 0", "x-b: 2"],
    flags: 0x5,
  });
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.RST_STREAM)).toEqual([]);
});

test("an error before any message is Trailers-Only, and what is none of ours tells nothing", async () => {
  const { peer, call } = serving((productId) => {
    if (productId === "ours") throw new ConnectError("there is none", Code.NotFound, { "x-why": "because" });
    throw new Error("a secret");
  });
  call(1, [], "ours");
  expect(await peer.next(FrameType.HEADERS)).toMatchObject({
    headers: expect.arrayContaining([":status: 200", "grpc-status: 5", "x-why: because"]),
    flags: 0x5,
  });
  call(3, [], "other");
  const { headers } = await peer.next(FrameType.HEADERS);
  expect(headers).toEqual(expect.arrayContaining(["grpc-status: 13", "grpc-message: internal error"]));
});

test.each<[string, Code, (id: number) => readonly Buffer[]]>([
  ["no message", Code.Unimplemented, (id) => [data(id, Buffer.alloc(0), true)]],
  ["two messages", Code.Unimplemented, (id) => [message(id, asking("a")), message(id, asking("b"), true)]],
  ["a message in part", Code.Internal, (id) => [data(id, Buffer.from([0, 0, 0, 0, 9, 1]), true)]],
  ["a message that is none", Code.Internal, (id) => [message(id, Buffer.of(255), true)]],
  ["a message that is too long", Code.ResourceExhausted, (id) => [data(id, Buffer.from([0, 0, 1, 0, 0]))]],
  ["a compressed one that nothing explains", Code.Internal, (id) => [message(id, Buffer.of(1), true, 1)]],
])("%s is refused, and the next call of the connection is answered", async (_, code, frames) => {
  let calls = 0;
  const { peer, call, connection } = serving(
    () => {
      calls++;
      return {};
    },
    { maxMessageBytes: 1_000 },
  );
  peer.send(peer.headers(1, callHeaders(PATH)), ...frames(1));
  expect((await peer.next(FrameType.HEADERS)).headers).toContain(`grpc-status: ${code}`);
  call(3);
  expect((await peer.next(FrameType.HEADERS, 3)).headers).toContain(":status: 200");
  expect([calls, connection.heldBytes]).toEqual([1, 0]);
});

test("a message may come in any number of parts, and nothing of it is held afterwards", async () => {
  const { peer, connection } = serving((productId) => ({ product: { name: productId } }));
  const octets = framesIn(message(1, asking("p1".repeat(50)))).frames[0]?.payload ?? Buffer.alloc(0);
  peer.send(peer.headers(1, callHeaders(PATH)), ...[...octets].map((octet) => data(1, Buffer.of(octet))));
  await peer.settled();
  expect(connection.heldBytes).toBe(0);
  peer.send(data(1, Buffer.alloc(0), true));
  await peer.next(FrameType.HEADERS);
  expect(String(messagesIn(peer.came)[0])).toContain("p1p1");
});

test("messages in part that are given up hold nothing", async () => {
  const { peer, connection } = serving(() => ({}));
  for (let id = 1; id < 41; id += 2) {
    const part = data(id, Buffer.concat([Buffer.from([0, 0, 63, 0, 0]), Buffer.alloc(10_000)]));
    peer.send(peer.headers(id, callHeaders(PATH)), part);
  }
  await peer.settled();
  expect(connection.heldBytes).toBe(20 * 10_000);
  for (let id = 1; id < 41; id += 2) peer.send(frame(FrameType.RST_STREAM, 0, id, uint32(8)));
  await peer.settled();
  expect([connection.heldBytes, connection.streams.size]).toEqual([0, 0]);
});

test("compressed questions are answered compressed to who reads that", async () => {
  const { peer } = serving((productId) => ({ product: { name: productId } }));
  const question = await gzip.compress(asking("p1"));
  for (const [id, accepts] of [
    [1, "gzip"],
    [3, "identity"],
  ] as const) {
    const own = ["grpc-encoding: gzip", `grpc-accept-encoding: ${accepts}`];
    peer.send(peer.headers(id, [...callHeaders(PATH), ...own]), message(id, question, true, 1));
    const { headers } = await peer.next(FrameType.HEADERS, id);
    expect(headers.includes("grpc-encoding: gzip")).toBe(accepts === "gzip");
    const { payload } = await peer.next(FrameType.DATA, id);
    expect(payload[0]).toBe(accepts === "gzip" ? 1 : 0);
  }
});

test("the deadline is answered though the handler does not heed it, and the handler is counted until it ends", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { handler, begun, go } = stubborn();
  const { peer, call, server } = serving(handler);
  call(1, ["grpc-timeout: 100m"]);
  const { signal } = await begun;
  vi.advanceTimersByTime(99);
  expect([server.abandonedHandlers(), signal.aborted]).toEqual([0, false]);
  vi.advanceTimersByTime(1);
  const { headers, flags } = await peer.next(FrameType.HEADERS);
  expect([headers.includes("grpc-status: 4"), flags]).toEqual([true, 0x5]);
  expect([server.abandonedHandlers(), signal.aborted]).toEqual([1, true]);
  go();
  await vi.waitUntil(() => server.abandonedHandlers() === 0);
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.HEADERS)).toHaveLength(1);
});

test("a timeout above what a timer can wait for is not over at once", async () => {
  const { peer, call } = serving(() => ({}));
  call(1, ["grpc-timeout: 99999999H"]);
  expect((await peer.next(FrameType.HEADERS)).headers).toContain(":status: 200");
  await peer.next(FrameType.DATA);
});

test.each([
  ["a message without its end", (id: number) => message(id, asking("p1"))],
  ["a part of a message", (id: number) => data(id, Buffer.from([0, 0, 0, 0, 9, 1]))],
])("%s is answered at its deadline, also where interceptors keep those of handlers", async (_, part) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { peer, server } = serving(() => ({}), { leavesUnaryDeadlines: true });
  peer.send(peer.headers(1, [...callHeaders(PATH), "grpc-timeout: 100m"]), part(1));
  await peer.settled();
  vi.advanceTimersByTime(99);
  await peer.settled();
  expect(peer.came.filter(({ type }) => type === FrameType.HEADERS)).toEqual([]);
  vi.advanceTimersByTime(1);
  expect((await peer.next(FrameType.HEADERS)).headers).toContain("grpc-status: 4");
  expect(server.abandonedHandlers()).toBe(0);
});

test("interceptors keep the deadline of a question that came in parts as well, once it is whole", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { handler, begun, go } = stubborn();
  const { peer, server } = serving(handler, { leavesUnaryDeadlines: true });
  peer.send(peer.headers(1, [...callHeaders(PATH), "grpc-timeout: 100m"]), message(1, asking("p1")));
  await peer.settled();
  peer.send(data(1, Buffer.alloc(0), true));
  await begun;
  vi.advanceTimersByTime(1_000);
  go();
  expect((await peer.next(FrameType.HEADERS)).headers).not.toContain("grpc-status: 4");
  expect(server.abandonedHandlers()).toBe(0);
});

test("a call that is answered in time leaves no timer", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { peer, call } = serving(() => ({}));
  await peer.settled();
  const before = vi.getTimerCount();
  call(1, ["grpc-timeout: 9S"]);
  await peer.next(FrameType.DATA);
  expect(vi.getTimerCount()).toBe(before);
});

test("interceptors may keep the deadlines themselves", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const { handler, begun, go } = stubborn();
  const { peer, call, server } = serving(handler, { leavesUnaryDeadlines: true });
  call(1, ["grpc-timeout: 100m"]);
  await begun;
  vi.advanceTimersByTime(1_000);
  go();
  expect((await peer.next(FrameType.HEADERS)).headers).not.toContain("grpc-status: 4");
  expect(server.abandonedHandlers()).toBe(0);
});

test.each(["a reset", "a broken connection"])(
  "%s reaches the handler, which is counted until it ends",
  async (how) => {
    const { handler, begun, go } = stubborn();
    const { peer, call, server } = serving(handler);
    call(1);
    const { signal } = await begun;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    if (how === "a reset") peer.send(frame(FrameType.RST_STREAM, 0, 1, uint32(8)));
    else peer.destroy();
    await aborted;
    expect([signal.reason.code, server.abandonedHandlers()]).toEqual([Code.Canceled, 1]);
    go();
    await vi.waitUntil(() => server.abandonedHandlers() === 0);
  },
);

test("a question whose caller leaves before it is whole begins no handler", async () => {
  let calls = 0;
  const { peer } = serving(() => {
    calls++;
    return {};
  });
  peer.send(peer.headers(1, callHeaders(PATH)), message(1, asking("p1")));
  peer.send(frame(FrameType.RST_STREAM, 0, 1, uint32(8)));
  await peer.settled();
  expect(calls).toBe(0);
});

test.each(["header", "trailer"] as const)(
  "a %s that gRPC cannot carry is an error that arrives",
  async (which) => {
    const { peer, call } = serving((productId, context) => {
      const headers = which === "header" ? context.responseHeader : context.responseTrailer;
      headers.set("x!y", "1");
      headers.set("x-well", "1");
      if (productId === "throws") throw new ConnectError("its own", Code.Aborted);
      return {};
    });
    call(1);
    const all = async (id: number) => {
      const headers: string[] = [];
      for (;;) {
        const found = await peer.next(FrameType.HEADERS, id);
        headers.push(...found.headers);
        if (found.flags & 1) return headers;
      }
    };
    const headers = await all(1);
    expect(headers).toEqual(expect.arrayContaining(["grpc-status: 13", "x-well: 1"]));
    call(3, [], "throws");
    expect(await all(3)).toContain("grpc-status: 10");
  },
);

test("an answer to who does not read is held until it does", async () => {
  const { peer, connection } = serving(() => ({ product: { name: "x".repeat(100_000) } }));
  peer.send(peer.headers(1, callHeaders(PATH)), message(1, asking("p1"), true));
  await peer.next(FrameType.DATA);
  await peer.settled();
  expect(connection.heldBytes).toBeGreaterThan(30_000);
  peer.send(
    frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(100_000)),
    frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(100_000)),
  );
  await peer.next(FrameType.HEADERS);
  expect((await peer.next(FrameType.HEADERS)).headers).toEqual(["grpc-status: 0"]);
  expect([connection.heldBytes, connection.streams.size]).toEqual([0, 0]);
});

import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService, WatchStockResponseSchema } from "../../gen/shop/product/v1/product_service_pb.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { FrameType } from "../http2/frame.ts";
import { settings, uint32 } from "../http2/raw-peer.ts";
import { frame } from "../testing/http2-frames.ts";
import { ANSWER, data, message, messagesIn, transportToPeer } from "./grpc-peer.ts";

const stock = (productId: string) =>
  toBinary(WatchStockResponseSchema, create(WatchStockResponseSchema, { productId }));
const OK = ["grpc-status: 0"];
const { watchStock, importProducts } = ProductService.method;

async function* forever<T>(first: T, until: Promise<void>, onReturn = () => {}) {
  try {
    yield first;
    await until;
  } finally {
    onReturn();
  }
}

async function* one() {
  yield {};
}

/** A call that watches, its answers, and the server. */
async function watching() {
  const { transport, client, peer } = transportToPeer();
  const response = transport.stream(watchStock, undefined, undefined, undefined, one());
  response.catch(() => {});
  await peer().next(FrameType.HEADERS);
  return { response, client, peer: peer() };
}

test("headers are there before any message, messages as they come, trailers with the end", async () => {
  const { response, peer } = await watching();
  peer.send(peer.headers(1, [...ANSWER, "x-a: 1"]));
  const { header, trailer, message: answers } = await response;
  expect(header.get("x-a")).toBe("1");
  const reader = answers[Symbol.asyncIterator]();
  peer.send(message(1, stock("p1")));
  expect((await reader.next()).value).toMatchObject({ productId: "p1" });
  peer.send(message(1, stock("p2")), message(1, stock("p3")), peer.headers(1, [...OK, "x-b: 2"], true));
  expect((await reader.next()).value).toMatchObject({ productId: "p2" });
  expect((await reader.next()).value).toMatchObject({ productId: "p3" });
  expect((await reader.next()).done).toBe(true);
  expect([trailer.get("x-b"), trailer.get("x-a")]).toEqual(["2", null]);
});

test("Trailers-Only is an error of the messages, and its fields are trailers", async () => {
  const { response, peer } = await watching();
  peer.send(peer.headers(1, [...ANSWER, "grpc-status: 5", "grpc-message: none", "x-b: 2"], true));
  const { header, trailer, message: answers } = await response;
  expect([[...header], trailer.get("x-b")]).toEqual([[], "2"]);
  await expect(Array.fromAsync(answers)).rejects.toMatchObject({ code: Code.NotFound, rawMessage: "none" });
});

test("an error comes behind the messages before it", async () => {
  const { response, peer } = await watching();
  peer.send(peer.headers(1, ANSWER), message(1, stock("p1")), peer.headers(1, ["grpc-status: 9"], true));
  const reader = (await response).message[Symbol.asyncIterator]();
  expect((await reader.next()).value).toMatchObject({ productId: "p1" });
  await expect(reader.next()).rejects.toMatchObject({ code: Code.FailedPrecondition });
});

test.each([
  ["a message that is too long", Code.ResourceExhausted, data(1, Buffer.from([0, 127, 0, 0, 0]))],
  ["a message that cannot be read", Code.Internal, message(1, Buffer.of(255))],
])("%s ends the call, and the server is told", async (_, code, octets) => {
  const { response, peer } = await watching();
  peer.send(peer.headers(1, ANSWER), octets);
  await expect(Array.fromAsync((await response).message)).rejects.toMatchObject({ code });
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.CANCEL));
});

test("an end without trailers is an error", async () => {
  const { response, peer } = await watching();
  peer.send(peer.headers(1, ANSWER), message(1, stock("p1"), true));
  await expect(Array.fromAsync((await response).message)).rejects.toMatchObject({ code: Code.Internal });
});

test("who reads no more ends the call", async () => {
  const { response, peer } = await watching();
  peer.send(peer.headers(1, ANSWER), message(1, stock("p1")), message(1, stock("p2")));
  for await (const { productId } of (await response).message) {
    expect(productId).toBe("p1");
    break;
  }
  expect((await peer.next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.CANCEL));
});

test("a reader that is slow holds the server back, and one that reads lets it on", async () => {
  const { response, peer } = await watching();
  const large = message(1, stock("x".repeat(16_000)));
  peer.send(peer.headers(1, ANSWER), ...Array.from({ length: 16 }, () => large));
  const reader = (await response).message[Symbol.asyncIterator]();
  await peer.settled();
  const updates = () =>
    peer.came.filter(({ type, stream }) => type === FrameType.WINDOW_UPDATE && stream === 1);
  expect(updates()).toEqual([]);
  for (let i = 0; i < 10; i++) await reader.next();
  await peer.settled();
  expect(updates().map(({ payload }) => payload.readUInt32BE())).toEqual([9 * (large.length - 9)]);
});

test("questions leave as they are made, behind the windows, and END_STREAM behind the last", async () => {
  const { transport, client, peer } = transportToPeer();
  const go = Promise.withResolvers<void>();
  async function* questions() {
    yield { product: { name: "a".repeat(20) } };
    await go.promise;
    yield { product: { name: "b".repeat(20) } };
  }
  const response = transport.stream(importProducts, undefined, undefined, undefined, questions());
  response.catch(() => {});
  const first = await peer().next(FrameType.DATA);
  expect(first.flags).toBe(0);
  peer().send(frame(FrameType.SETTINGS, 0, 0, settings({ 4: first.payload.length + 10 })));
  await peer().settled();
  go.resolve();
  expect((await peer().next(FrameType.DATA)).payload.length).toBe(10);
  peer().send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1_000)));
  expect(await peer().next(FrameType.DATA)).toMatchObject({ flags: 0 });
  expect(await peer().next(FrameType.DATA)).toMatchObject({ flags: 1, payload: Buffer.alloc(0) });
  expect(messagesIn(peer().came)).toHaveLength(3);
  client.close();
});

test("an answer before the last question ends the questions", async () => {
  const { transport, peer } = transportToPeer();
  const go = Promise.withResolvers<void>();
  const returned = Promise.withResolvers<void>();
  const questions = forever({}, go.promise, returned.resolve);
  const response = transport.stream(importProducts, undefined, undefined, undefined, questions);
  await peer().next(FrameType.DATA);
  peer().send(peer().headers(1, [...ANSWER, "grpc-status: 9"], true));
  await expect(Array.fromAsync((await response).message)).rejects.toMatchObject({
    code: Code.FailedPrecondition,
  });
  expect((await peer().next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.NO_ERROR));
  go.resolve();
  await returned.promise;
  await peer().settled();
  expect(messagesIn(peer().came)).toHaveLength(1);
});

test("a question that cannot be made ends the call, and its error is the cause", async () => {
  const { transport, peer } = transportToPeer();
  async function* questions() {
    yield {};
    throw new Error("no more rows");
  }
  const response = transport.stream(importProducts, undefined, undefined, undefined, questions());
  const { message: answers } = await response;
  await expect(Array.fromAsync(answers)).rejects.toMatchObject({
    code: Code.Canceled,
    cause: { message: "no more rows" },
  });
  expect((await peer().next(FrameType.RST_STREAM)).payload).toEqual(uint32(ErrorCode.CANCEL));
});

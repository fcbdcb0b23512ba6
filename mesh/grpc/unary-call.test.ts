import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { GetProductResponseSchema, ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { FrameType } from "../http2/frame.ts";
import type { RawPeer } from "../http2/raw-peer.ts";
import { framesIn } from "../testing/http2-frames.ts";
import { gzip } from "./compression.ts";
import { ANSWER, data, message, transportToPeer } from "./grpc-peer.ts";

const named = (name: string) =>
  toBinary(GetProductResponseSchema, create(GetProductResponseSchema, { product: { name } }));
const OK = ["grpc-status: 0"];

/** What a call comes to that is answered with these frames. */
async function answered(frames: (peer: RawPeer) => readonly Buffer[], maxMessageBytes = 1_000) {
  const { transport, peer } = transportToPeer({ maxMessageBytes });
  const answer = transport.unary(ProductService.method.getProduct, undefined, undefined, undefined, {});
  answer.catch(() => {});
  await peer().next(FrameType.DATA);
  peer().send(...frames(peer()));
  return { answer, peer: peer() };
}

test("an answer has its message, headers and trailers", async () => {
  const { answer } = await answered((peer) => [
    peer.headers(1, [...ANSWER, "x-a: 1"]),
    message(1, named("bread")),
    peer.headers(1, [...OK, "x-b: 2"], true),
  ]);
  const { message: said, header, trailer, method, service, stream } = await answer;
  expect(said.product?.name).toBe("bread");
  expect([header.get("x-a"), trailer.get("x-b"), trailer.get("grpc-status")]).toEqual(["1", "2", "0"]);
  expect([method.name, service.typeName, stream]).toEqual([
    "GetProduct",
    "shop.product.v1.ProductService",
    false,
  ]);
});

test("a message may come in any number of parts", async () => {
  const octets = framesIn(message(1, named("bread"))).frames[0]?.payload ?? Buffer.alloc(0);
  const { answer } = await answered((peer) => [
    peer.headers(1, ANSWER),
    data(1, Buffer.alloc(0)),
    ...[...octets].map((octet) => data(1, Buffer.of(octet))),
    peer.headers(1, OK, true),
  ]);
  expect((await answer).message.product?.name).toBe("bread");
});

test("a compressed message is read", async () => {
  const zipped = await gzip.compress(named("bread"));
  const { answer } = await answered((peer) => [
    peer.headers(1, [...ANSWER, "grpc-encoding: gzip"]),
    message(1, zipped, false, 1),
    peer.headers(1, OK, true),
  ]);
  expect((await answer).message.product?.name).toBe("bread");
});

test("a large message is let through, whatever the window", async () => {
  const large = named("x".repeat(900_000));
  const { answer, peer } = await answered((peer) => [peer.headers(1, ANSWER)], 2 ** 20);
  const octets = framesIn(message(1, large)).frames[0]?.payload ?? Buffer.alloc(0);
  // As a server would that keeps to the windows it is given.
  let window = 262_144;
  let seen = 0;
  for (let at = 0; at < octets.length; ) {
    const part = octets.subarray(at, at + Math.min(16_384, window));
    window -= part.length;
    at += part.length;
    peer.send(data(1, part));
    await peer.settled();
    const updates = peer.came.filter(({ type, stream }) => type === FrameType.WINDOW_UPDATE && stream === 1);
    for (const { payload } of updates.slice(seen)) window += payload.readUInt32BE();
    seen = updates.length;
    expect(window).toBeGreaterThan(0);
  }
  peer.send(peer.headers(1, OK, true));
  expect((await answer).message.product?.name.length).toBe(900_000);
});

test.each<[string, Code, (peer: RawPeer) => readonly Buffer[]]>([
  ["Trailers-Only", Code.NotFound, (peer) => [peer.headers(1, [...ANSWER, "grpc-status: 5"], true)]],
  [
    "an error behind a message",
    Code.NotFound,
    (peer) => [peer.headers(1, ANSWER), message(1, named("a")), peer.headers(1, ["grpc-status: 5"], true)],
  ],
  [
    "all well, and no message",
    Code.Unimplemented,
    (peer) => [peer.headers(1, ANSWER), peer.headers(1, OK, true)],
  ],
  [
    "two messages",
    Code.Unimplemented,
    (peer) => [
      peer.headers(1, ANSWER),
      message(1, named("a")),
      message(1, named("b")),
      peer.headers(1, OK, true),
    ],
  ],
  [
    "an end without trailers",
    Code.Internal,
    (peer) => [peer.headers(1, ANSWER), message(1, named("a"), true)],
  ],
  [
    "trailers without a status",
    Code.Internal,
    (peer) => [peer.headers(1, ANSWER), peer.headers(1, ["x: 1"], true)],
  ],
  [
    "a message in part",
    Code.Internal,
    (peer) => [peer.headers(1, ANSWER), data(1, Buffer.from([0, 0, 0, 0, 2, 65])), peer.headers(1, OK, true)],
  ],
  [
    "a message too long",
    Code.ResourceExhausted,
    (peer) => [peer.headers(1, ANSWER), message(1, Buffer.alloc(1_001))],
  ],
  [
    "a message that is none",
    Code.Internal,
    (peer) => [peer.headers(1, ANSWER), message(1, Buffer.of(255)), peer.headers(1, OK, true)],
  ],
  [
    "a compressed message that nothing explains",
    Code.Internal,
    (peer) => [peer.headers(1, ANSWER), message(1, Buffer.of(1), false, 1)],
  ],
  [
    "a compression that nobody knows",
    Code.Internal,
    (peer) => [
      peer.headers(1, [...ANSWER, "grpc-encoding: x"]),
      message(1, Buffer.of(1), false, 1),
      peer.headers(1, OK, true),
    ],
  ],
  [
    "another HTTP",
    Code.Unavailable,
    (peer) => [peer.headers(1, [":status: 503", "content-type: text/html"])],
  ],
])("%s is an error", async (_, code, frames) => {
  const { answer, peer } = await answered(frames);
  await expect(answer).rejects.toMatchObject({ code });
  // Whatever was wrong with it, the next call is well.
  await peer.settled();
});

test("what comes after the answer was refused is nobody's fault", async () => {
  const { answer, peer } = await answered((peer) => [
    peer.headers(1, [":status: 503", "content-type: text/html"]),
    data(1, Buffer.from("<html>"), true),
  ]);
  await expect(answer).rejects.toMatchObject({ code: Code.Unavailable });
  expect((await peer.next(FrameType.RST_STREAM)).stream).toBe(1);
  await peer.settled();
});

import { once } from "node:events";
import { connect, constants, type IncomingHttpHeaders } from "node:http2";
import { toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { GetProductRequestSchema, ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { atEnd } from "../../testing/at-end.ts";
import { testServer } from "../../testing/server.ts";

/** Calls a method of gRPC by hand, and tells what came: the first headers, whether they end it, the trailers. */
async function called(method: "GetProduct" | "WatchStock") {
  const { url } = await testServer(ProductService, {
    getProduct({ productId }, { responseHeader }) {
      if (productId === "told") {
        responseHeader.set("x-told", "before");
        throw new ConnectError("there is none", Code.NotFound);
      }
      if (productId === "none") throw new ConnectError("there is none: größer", Code.NotFound);
      return {};
    },
    async *watchStock({ productIds }) {
      for (const productId of productIds) {
        if (productId === "none") throw new ConnectError("there is none", Code.NotFound);
        yield { productId };
      }
    },
  });
  return async (...productIds: string[]) => {
    const session = connect(url);
    atEnd(async () => session.destroy());
    const path = `/${ProductService.typeName}/${method}`;
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
    let trailers: IncomingHttpHeaders | undefined;
    stream.on("trailers", (headers) => {
      trailers = headers;
    });
    stream.end(message(productIds));
    const [headers, flags] = (await once(stream, "response")) as [IncomingHttpHeaders, number];
    stream.resume();
    await once(stream, "close");
    return { headers, isOneBlock: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, trailers };
  };

  function message(productIds: readonly string[]): Buffer {
    // Both requests have their ids in field 1.
    const bytes = Buffer.concat(
      productIds.map((productId) =>
        toBinary(GetProductRequestSchema, { ...request, productId, minRatingVersion: 0 }),
      ),
    );
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  }
}

const request = { $typeName: GetProductRequestSchema.typeName, productId: "" };

test("an answer that is nothing but an error is one block of headers (A6)", async () => {
  const call = await called("GetProduct");
  const { headers, isOneBlock, trailers } = await call("none");
  expect(isOneBlock).toBe(true);
  expect(headers).toMatchObject({
    ":status": 200,
    "content-type": expect.stringMatching(/^application\/grpc/),
    "grpc-status": "5",
    "grpc-message": "there is none: gr%C3%B6%C3%9Fer",
  });
  expect(trailers).toBeUndefined();
});

test("so is that of a stream whose first word is an error", async () => {
  const call = await called("WatchStock");
  const { headers, isOneBlock } = await call("none");
  expect([isOneBlock, headers["grpc-status"]]).toEqual([true, "5"]);
});

test("an answer has its status in trailers, and so has a stream that breaks later", async () => {
  const get = await (await called("GetProduct"))("p1");
  expect([get.isOneBlock, get.headers["grpc-status"], get.trailers?.["grpc-status"]]).toEqual([
    false,
    undefined,
    "0",
  ]);
  const watch = await (await called("WatchStock"))("p1", "none");
  expect([watch.isOneBlock, watch.headers["grpc-status"], watch.trailers?.["grpc-status"]]).toEqual([
    false,
    undefined,
    "5",
  ]);
});

test("an error after headers of the handler's own leaves them what they are", async () => {
  const call = await called("GetProduct");
  const { headers, isOneBlock, trailers } = await call("told");
  expect([isOneBlock, headers["x-told"], headers["grpc-status"]]).toEqual([false, "before", undefined]);
  expect([trailers?.["x-told"], trailers?.["grpc-status"]]).toEqual([undefined, "5"]);
});

import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { AppError } from "../core/errors.ts";
import { currentWork } from "../core/work.ts";
import type { ServerOptions } from "../rpc/server/server.ts";
import { manualClock } from "../testing/clock.ts";
import { testServer } from "../testing/server.ts";
import { rest } from "./rest.ts";

const left = Promise.withResolvers<string>();

const { url } = await testServer(
  ProductService,
  {
    getProduct({ productId }) {
      if (productId === "gone")
        throw new AppError("there is no product gone", {
          code: Code.NotFound,
          reason: "PRODUCT_NOT_FOUND",
          domain: "shop.product.v1",
          metadata: { product_id: "gone" },
        });
      if (productId === "broken") throw new Error("password=hunter2");
      const { requestId, carried } = currentWork() ?? {};
      return { product: { productId, name: requestId ?? "", description: carried?.tenant ?? "" } };
    },
    createProduct({ product, requestId }) {
      if (product) product.description = requestId;
      return product ? { product } : {};
    },
    async *watchStock({ productIds }, { signal }) {
      for (const productId of productIds) yield { productId, availableStock: 7 };
      if (productIds[0] !== "endless") return;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      left.resolve("left");
    },
    async importProducts(rows) {
      let createdCount = 0;
      for await (const _ of rows) createdCount++;
      return { createdCount };
    },
  },
  { web: (calls) => rest({ services: [ProductService], calls }) },
);

const PRICE = { currency_code: "EUR", units: 12 };

test("a call by HTTP passes the layers of any call: it is a piece of work, and it is validated", async () => {
  const headers = { "x-request-id": "r-1", tenant: "acme" };
  const answer = await fetch(`${url}/v1/products/p1`, { headers });
  expect(await answer.json()).toMatchObject({
    product: { productId: "p1", name: "r-1", description: "acme" },
  });
  const bad = await fetch(`${url}/v1/products/p%201`);
  expect([bad.status, await bad.json()]).toMatchObject([
    400,
    { details: [{ reason: "INVALID_REQUEST" }, { fieldViolations: [{ field: "product_id" }] }] },
  ]);
});

test("a body, and a key in the header", async () => {
  const answer = await fetch(`${url}/v1/products`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": '"k1"' },
    body: JSON.stringify({ product_id: "new", name: "New", price: PRICE }),
  });
  expect([answer.status, await answer.json()]).toMatchObject([
    200,
    { product: { productId: "new", description: "k1", price: { units: "12" } } },
  ]);
});

test("a refusal keeps its reason; what is the service's own fault has no text", async () => {
  const gone = await fetch(`${url}/v1/products/gone`);
  expect([gone.status, await gone.json()]).toMatchObject([
    404,
    { code: 5, details: [{ reason: "PRODUCT_NOT_FOUND", metadata: { product_id: "gone" } }] },
  ]);
  const broken = await fetch(`${url}/v1/products/broken`);
  expect([broken.status, await broken.json()]).toMatchObject([500, { code: 13, message: "internal error" }]);
});

test("a call whose time is up is a 504, and its handler is told", async () => {
  const clock = manualClock();
  const [begun, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = await testServer(
    ProductService,
    {
      getProduct(_, { signal }) {
        signal.addEventListener("abort", () => told.resolve());
        begun.resolve();
        return new Promise(() => {});
      },
    },
    { clock, web: (calls) => rest({ services: [ProductService], calls }) },
  );
  const asked = fetch(`${slow.url}/v1/products/p1`, { headers: { "request-timeout": "60" } });
  await begun.promise;
  clock.advance(60_000);
  const answer = await asked;
  expect([answer.status, await answer.json()]).toMatchObject([
    504,
    { code: 4, details: [{ reason: "DEADLINE_EXCEEDED" }] },
  ]);
  await told.promise;
});

test("HEAD and 304 have no body, over a connection that goes on", async () => {
  const get = await fetch(`${url}/v1/products/p1`, { headers: { "x-request-id": "same" } });
  const etag = get.headers.get("etag") ?? "";
  const length = (await get.arrayBuffer()).byteLength;
  const head = await fetch(`${url}/v1/products/p1`, { method: "HEAD", headers: { "x-request-id": "same" } });
  expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([
    200,
    String(length),
    "",
  ]);
  const same = await fetch(`${url}/v1/products/p1`, {
    headers: { "x-request-id": "same", "if-none-match": etag },
  });
  expect([same.status, await same.text()]).toEqual([304, ""]);
});

test("a stream comes message by message, and who leaves it ends it", async () => {
  const leaving = new AbortController();
  const { body, headers } = await fetch(`${url}/v1/products:watchStock?product_ids=endless&product_ids=b`, {
    headers: { accept: "text/event-stream" },
    signal: leaving.signal,
  });
  expect(headers.get("content-type")).toBe("text/event-stream");
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes('"b"')) text += (await reader?.read())?.value ?? "";
  expect(text).toContain('data: {"productId":"endless","availableStock":7}\n\n');
  leaving.abort();
  expect(await left.promise).toBe("left");
});

test("a stream of requests is read line by line as it comes", async () => {
  const { readable, writable } = new TransformStream<string, string>();
  const sending = (async () => {
    const writer = writable.getWriter();
    for (const name of ["a", "b", "c"]) await writer.write(`${JSON.stringify({ product: { name } })}\n`);
    await writer.close();
  })();
  const answer = await fetch(`${url}/v1/products:import`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: readable.pipeThrough(new TextEncoderStream()),
    duplex: "half",
  } as RequestInit);
  await sending;
  expect([answer.status, await answer.json()]).toMatchObject([200, { createdCount: 3 }]);
});

test("a body that is too large is refused though it is not read to its end", async () => {
  const answer = await fetch(`${url}/v1/products`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: new Uint8Array(5 * 2 ** 20),
  });
  expect([answer.status, await answer.json()]).toMatchObject([
    413,
    { details: [{ reason: "BODY_TOO_LARGE" }] },
  ]);
});

test("a body that is too slow is a 408, and its connection is closed", async () => {
  const web: ServerOptions["web"] = (calls) => rest({ services: [ProductService], calls, bodyWithinMs: 50 });
  const { port } = await testServer(ProductService, {}, { web });
  const socket = connect({ host: "127.0.0.1", port });
  const head = [
    "POST /v1/products HTTP/1.1",
    "host: x",
    "content-type: application/json",
    "content-length: 9",
  ];
  socket.write([...head, "", "{"].join("\r\n"));
  expect(await text(socket)).toMatch(/^HTTP\/1.1 408 .*connection: close.*"reason":"BODY_TOO_SLOW"/s);
});

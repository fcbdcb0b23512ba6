import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { AppError } from "../../core/errors.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { meshClient } from "../client/client.ts";
import { startServer } from "./server.ts";

const SECRET = "password=hunter2";

const server = await testServer(
  ProductService,
  {
    getProduct({ productId }) {
      switch (productId) {
        case "gone":
          throw new AppError("there is no product gone: ausverkauft ☕", {
            code: Code.NotFound,
            reason: "PRODUCT_NOT_FOUND",
            domain: "shop.product.v1",
            metadata: { product_id: "gone" },
            cause: new Error(SECRET),
          });
        case "broken":
          throw new Error(SECRET);
        default:
          return { product: { productId, name: "Beans" } };
      }
    },
    async *watchStock({ productIds }) {
      for (const productId of productIds) {
        if (productId === "broken") throw new Error(SECRET);
        yield { productId, availableStock: 7 };
      }
    },
    async importProducts(rows) {
      let createdCount = 0;
      for await (const _ of rows) createdCount++;
      return { createdCount };
    },
  },
  { http: (request) => (new URL(request.url).pathname === "/page" ? new Response("a page") : undefined) },
);

describe.each(WIRE_PROTOCOLS)("$name", (protocol) => {
  const client = meshClient(ProductService, protocol.open(server));

  test("answers", async () => {
    expect((await client.getProduct({ productId: "p1" })).product).toMatchObject({ name: "Beans" });
  });

  test("streams both ways", async () => {
    const stocks = client.watchStock({ productIds: ["p1", "p2"] });
    expect((await Array.fromAsync(stocks)).map(({ productId }) => productId)).toEqual(["p1", "p2"]);
    async function* rows() {
      yield {};
      yield {};
    }
    expect(await client.importProducts(rows())).toMatchObject({ createdCount: 2 });
  });

  test("names every bad field of a request", async () => {
    const error = await client.batchGetProducts({ productIds: ["p1", "p 2", ""] }).catch((e) => e);
    expect(error).toBeInstanceOf(ConnectError);
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "INVALID_REQUEST", domain: "mesh.weft" },
    ]);
    const [bad] = error.findDetails(BadRequestSchema);
    expect(bad.fieldViolations.map((v: { field: string }) => v.field)).toEqual([
      "product_ids[1]",
      "product_ids[2]",
    ]);
    expect(bad.fieldViolations[0].description).not.toBe("");
  });

  test("refuses a bad request of a stream before its handler sees it", async () => {
    const watching = Array.fromAsync(client.watchStock({ productIds: [] }));
    await expect(watching).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  test("carries a refusal: code, text, reason, domain, metadata", async () => {
    const error = await client.getProduct({ productId: "gone" }).catch((e) => e);
    expect(error).toMatchObject({
      code: Code.NotFound,
      rawMessage: "there is no product gone: ausverkauft ☕",
    });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "PRODUCT_NOT_FOUND", domain: "shop.product.v1", metadata: { product_id: "gone" } },
    ]);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(SECRET);
  });

  test("lets nothing out of what broke, in a stream neither", async () => {
    const calls: (() => Promise<unknown>)[] = [
      () => client.getProduct({ productId: "broken" }),
      () => Array.fromAsync(client.watchStock({ productIds: ["p1", "broken"] })),
    ];
    for (const call of calls) {
      const error = (await call().catch((e) => e)) as ConnectError;
      expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error" });
      expect(error.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "INTERNAL", domain: "mesh.weft" }]);
      expect([...error.metadata].join()).not.toContain("hunter2");
    }
  });

  test("a method without a handler is UNIMPLEMENTED", async () => {
    await expect(client.listProducts({})).rejects.toMatchObject({ code: Code.Unimplemented });
  });

  test("refuses a request of more than 4 MiB", async () => {
    const query = "x".repeat(4 * 2 ** 20 + 1);
    await expect(client.listProducts({ query })).rejects.toMatchObject({ code: Code.ResourceExhausted });
  });
});

describe("plain HTTP on the same port", () => {
  const post = (body: string, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/shop.product.v1.ProductService/GetProduct`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });

  test("a POST of JSON is a call", async () => {
    const response = await post('{"productId":"p1"}');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ product: { productId: "p1", name: "Beans" } });
  });

  test("its refusal is JSON too", async () => {
    const response = await post('{"productId":"gone"}');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({
      code: "not_found",
      details: [{ type: "google.rpc.ErrorInfo", debug: { reason: "PRODUCT_NOT_FOUND" } }],
    });
  });

  test("what is no JSON of the method is refused", async () => {
    expect((await post("{")).status).toBe(400);
    expect((await post('{"productId":7}')).status).toBe(400);
    expect((await post("x", { "content-type": "text/plain" })).status).toBe(415);
  });

  test("/healthz answers", async () => {
    const response = await fetch(`${server.url}/healthz`);
    expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
  });

  test("so do the service's own pages, and no others", async () => {
    expect(await (await fetch(`${server.url}/page`)).text()).toBe("a page");
    expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
    expect((await fetch(`${server.url}/nothing`, { method: "POST", body: "{}" })).status).toBe(404);
  });
});

test("a message that is larger than the server takes is RESOURCE_EXHAUSTED; the answer may be", async () => {
  const small = await testServer(
    ProductService,
    { getProduct: () => ({ product: { description: "x".repeat(2_000) } }) },
    { maxMessageBytes: 1_000 },
  );
  for (const protocol of WIRE_PROTOCOLS) {
    const client = meshClient(ProductService, protocol.open(small));
    const call = client.listProducts({ query: "x".repeat(2_000) });
    await expect(call, protocol.name).rejects.toMatchObject({ code: Code.ResourceExhausted });
    const { product } = await client.getProduct({ productId: "p1" });
    expect(product?.description.length).toBe(2_000);
  }
});

test("a port that is taken is an error at once", async () => {
  const log = { info() {} } as never;
  const taken = { host: "127.0.0.1", port: server.port, services: [], routes: () => {}, log };
  await expect(startServer(taken)).rejects.toMatchObject({ code: "EADDRINUSE" });
});

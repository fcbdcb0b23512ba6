import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { AppError } from "../../core/errors.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../../testing/wire-protocols.ts";
import { meshClient, openTarget } from "../client/client.ts";
import { passOn } from "./pass-on.ts";
import type { ServerOptions } from "./server.ts";

const seen: Headers[] = [];
const left = Promise.withResolvers<string>();
const begun = Promise.withResolvers<void>();
const finished = Promise.withResolvers<void>();

const behind = await testServer(ProductService, {
  async getProduct({ productId }, { requestHeader, responseTrailer }) {
    seen.push(requestHeader);
    switch (productId) {
      case "slow":
        begun.resolve();
        await finished.promise;
        break;
      case "gone":
        throw new AppError("there is no product gone", {
          code: Code.NotFound,
          reason: "PRODUCT_NOT_FOUND",
          domain: "shop.product.v1",
          metadata: { product_id: "gone" },
        });
      case "broken":
        throw new Error("password=hunter2");
      case "stale":
        responseTrailer.set("mesh-degraded", "stale");
    }
    return { product: { productId, name: "Beans" } };
  },
  listProducts: () => ({ products: [] }),
  async *watchStock({ productIds }, { signal }) {
    if (productIds[0] === "gone") throw new ConnectError("there is no product gone", Code.NotFound);
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
});

const { getProduct, watchStock, importProducts } = ProductService.method;

function inFrontOf(
  endpoints: readonly { host: string; port: number }[],
  options: Partial<ServerOptions> = {},
) {
  const way = openTarget(
    { service: ProductService, target: { scheme: "static", endpoints: [...endpoints] }, protocol: "grpc" },
    { watchesHealth: false },
  );
  return testServer(
    ProductService,
    {},
    { routes: (router) => passOn(router, [getProduct, watchStock, importProducts], way), ...options },
  );
}

const front = await inFrontOf([behind.endpoint]);

describe.each(WIRE_PROTOCOLS)("$name", (protocol) => {
  const client = meshClient(ProductService, protocol.open(front));

  test("a call and its answer pass, and what the answer says of itself", async () => {
    let trailer: Headers | undefined;
    const onTrailer = (said: Headers) => {
      trailer = said;
    };
    const { product } = await client.getProduct({ productId: "stale" }, { onTrailer });
    expect(product).toMatchObject({ productId: "stale", name: "Beans" });
    expect(trailer?.get("mesh-degraded")).toBe("stale");
  });

  test("streams pass both ways", async () => {
    const stocks = await Array.fromAsync(client.watchStock({ productIds: ["a", "b"] }));
    expect(stocks.map(({ productId }) => productId)).toEqual(["a", "b"]);
    async function* rows() {
      yield {};
      yield {};
    }
    expect(await client.importProducts(rows())).toMatchObject({ createdCount: 2 });
  });

  test("a refusal is told in the words of who refused", async () => {
    expect(await refusalOf(client.getProduct({ productId: "gone" }))).toMatchObject({
      code: "NotFound",
      reason: "PRODUCT_NOT_FOUND",
    });
    const watching = Array.fromAsync(client.watchStock({ productIds: ["gone"] }));
    await expect(watching).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("what is not passed on is not there", async () => {
    expect(await refusalOf(client.listProducts({}))).toMatchObject({ code: "Unimplemented" });
  });
});

const grpc = WIRE_PROTOCOLS[0] as WireProtocol;
const client = meshClient(ProductService, grpc.open(front));

test("what a caller says of itself goes along, and nothing else", async () => {
  const headers = { authorization: "Bearer t", tenant: "acme", "x-request-id": "r1", "x-other": "1" };
  await client.getProduct({ productId: "p1" }, { headers });
  const header = seen.at(-1);
  expect(["authorization", "tenant", "x-request-id", "x-other"].map((name) => header?.get(name))).toEqual([
    "Bearer t",
    "acme",
    "r1",
    null,
  ]);
});

test("what the service has done wrong is not told", async () => {
  const error = await client.getProduct({ productId: "broken" }).catch((thrown: ConnectError) => thrown);
  expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error" });
});

test("a call that is waited for behind keeps no other out, and is not taken for one that is slow here", async () => {
  const one = { limit: () => 1, observe() {} };
  const narrow = await inFrontOf([behind.endpoint], { admission: { limiter: one } });
  const products = meshClient(ProductService, grpc.open(narrow));
  const slow = products.getProduct({ productId: "slow" });
  await begun.promise;
  expect(narrow.state().inflight).toBe(0);
  expect((await products.getProduct({ productId: "p1" })).product?.productId).toBe("p1");
  finished.resolve();
  expect((await slow).product?.productId).toBe("slow");
});

test("a service that is away is a part that is away", async () => {
  const nobody = await inFrontOf([]);
  const lonely = meshClient(ProductService, grpc.open(nobody));
  expect(await refusalOf(lonely.getProduct({ productId: "p1" }))).toMatchObject({
    code: "Unavailable",
    reason: "DEPENDENCY_UNAVAILABLE",
  });
});

test("who leaves a stream has the service behind left, too", async () => {
  const leaving = new AbortController();
  const stocks = client.watchStock({ productIds: ["endless"] }, { signal: leaving.signal });
  const iterator = stocks[Symbol.asyncIterator]();
  await iterator.next();
  leaving.abort();
  await iterator.next().catch(() => {});
  expect(await left.promise).toBe("left");
});

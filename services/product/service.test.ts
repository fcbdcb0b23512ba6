import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ProductCreatedSchema,
  ProductPriceChangedSchema,
  StockLowSchema,
  StockReleasedSchema,
  StockReservedSchema,
} from "../../gen/shop/product/v1/product_event_pb.ts";
import { ReservationState } from "../../gen/shop/product/v1/product_pb.ts";
import { type ProductPrice, ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { published } from "../../mesh/testing/published.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

// A supplier as slow as may be, so that no pieces come while stock is counted.
const { client, sql } = await testService({
  contract: ProductService,
  readSettings,
  start: startApp,
  env: { RESTOCK_STEP_MS: "10000" },
});
const domain = "shop.product.v1";
const invalid = (...fields: string[]) => ({
  code: "InvalidArgument",
  reason: "INVALID_REQUEST",
  domain: "mesh.weft",
  fields,
});

const EVENTS = [
  ProductCreatedSchema,
  ProductPriceChangedSchema,
  StockReservedSchema,
  StockReleasedSchema,
  StockLowSchema,
];
const events = (productId: string) => published(sql, EVENTS, productId);
const names = async (productId: string) =>
  (await events(productId)).map((e) => e.$typeName.split(".").at(-1));

const euros = (units: bigint, nanos = 0) => ({ currencyCode: "EUR", units, nanos });
const draft = (productId: string, availableStock = 10) => ({
  productId,
  name: "Thing",
  description: "A thing.",
  price: euros(3n, 500_000_000),
  availableStock,
});

/** A product that nobody else looks at. */
async function newProduct(availableStock = 10): Promise<string> {
  const productId = `p-${randomUUID()}`;
  await client.createProduct({ product: draft(productId, availableStock) });
  return productId;
}

async function stockOf(productId: string): Promise<number | undefined> {
  return (await client.getProduct({ productId })).product?.availableStock;
}

describe("the catalogue", () => {
  test("a new product is there as it was given, and announced", async () => {
    const productId = await newProduct();
    const { product } = await client.getProduct({ productId });
    expect(product).toMatchObject({ ...draft(productId), rating: { average: 0, count: 0 } });
    expect(product?.createTime).toBeDefined();
    expect(await events(productId)).toMatchObject([
      { productId, price: euros(3n, 500_000_000), availableStock: 10 },
    ]);
  });

  test("a product without an id gets one", async () => {
    const { product } = await client.createProduct({ product: draft("") });
    expect(product?.productId).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  });

  test("an id is taken once", async () => {
    const productId = await newProduct();
    const again = client.createProduct({ product: draft(productId) });
    expect(await refusalOf(again)).toEqual({ code: "AlreadyExists", reason: "PRODUCT_EXISTS", domain });
  });

  test("a repeated request creates once; with other content it is refused", async () => {
    const request = { product: draft(""), requestId: `r-${randomUUID()}` };
    const [first, second] = [await client.createProduct(request), await client.createProduct(request)];
    expect(second).toEqual(first);
    const other = client.createProduct({ ...request, product: { ...request.product, name: "Other" } });
    expect(await refusalOf(other)).toEqual({
      code: "AlreadyExists",
      reason: "REQUEST_ID_REUSED",
      domain: "mesh.weft",
    });
  });

  test("a repeated request creates once for as long as the deployment says", async () => {
    const folder = mkdtempSync(join(tmpdir(), "weft-product-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "policies.json");
    const methods = { "shop.product.v1.ProductService/CreateProduct": { dedupeTtl: "172800s" } };
    writeFileSync(file, JSON.stringify({ methods }));
    const patient = await testService({
      contract: ProductService,
      readSettings,
      start: startApp,
      env: { MESH_POLICY_FILE: file },
    });
    const request = { product: draft(""), requestId: "r1" };
    const { product } = await patient.client.createProduct(request);
    const age = (hours: number) =>
      patient.sql`UPDATE request SET expires_at = expires_at - make_interval(hours => ${hours})`;
    await age(47);
    expect((await patient.client.createProduct(request)).product).toEqual(product);
    await age(2);
    expect((await patient.client.createProduct(request)).product?.productId).not.toBe(product?.productId);
  });

  test("bad fields are named, all of them", async () => {
    const product = { ...draft("no id"), name: "", price: { currencyCode: "USD", units: 1n, nanos: 1 } };
    expect(await refusalOf(client.createProduct({ product }))).toEqual(
      invalid("product.product_id", "product.name", "product.price", "product.price"),
    );
    expect(await refusalOf(client.createProduct({}))).toEqual(invalid("product"));
    expect(await refusalOf(client.getProduct({ productId: "" }))).toEqual(invalid("product_id"));
  });

  test("ids that name nothing are NOT_FOUND, also one among others", async () => {
    const productId = await newProduct();
    const notFound = { code: "NotFound", reason: "PRODUCT_NOT_FOUND", domain };
    expect(await refusalOf(client.getProduct({ productId: "nothing" }))).toEqual(notFound);
    expect(await refusalOf(client.batchGetProducts({ productIds: [productId, "nothing"] }))).toEqual(
      notFound,
    );
  });

  test("a batch comes in the order asked for", async () => {
    const productIds = [await newProduct(), await newProduct(), await newProduct()].reverse();
    const { products } = await client.batchGetProducts({ productIds });
    expect(products.map((product) => product.productId)).toEqual(productIds);
  });

  test("pages end to end hold every product once, and a search finds words in any case", async () => {
    const word = `Word${randomUUID().slice(0, 8)}_%`;
    for (let i = 0; i < 5; i++) {
      await client.createProduct({ product: { ...draft(""), description: `with ${word} in it` } });
    }
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let pageToken = "", first = true; first || pageToken; first = false) {
      const page = await client.listProducts({ pageSize: 2, pageToken, query: word.toLowerCase() });
      seen.push(...page.products.map((product) => product.productId));
      sizes.push(page.products.length);
      pageToken = page.nextPageToken;
    }
    expect(sizes).toEqual([2, 2, 1]);
    expect(new Set(seen).size).toBe(5);
    expect((await client.listProducts({ query: word.replace("_", "x") })).products).toEqual([]);
    expect(await refusalOf(client.listProducts({ pageToken: "made up" }))).toEqual(invalid("page_token"));
    expect(await refusalOf(client.listProducts({ pageSize: -1 }))).toEqual(invalid("page_size"));
  });

  test("prices are listed by product, each with the number of the product's last event", async () => {
    const made = [await newProduct(), await newProduct()].sort();
    const [one = "", other = ""] = made;
    const product = { ...draft(one), price: euros(4n) };
    await client.updateProduct({ product, updateMask: { paths: ["price"] } });
    await client.reserveStock({ orderId: randomUUID(), lines: [{ productId: one, quantity: 1 }] });
    const all: ProductPrice[] = [];
    for (let pageToken = ""; ; ) {
      const page = await client.listPrices({ pageSize: 3, pageToken });
      expect(page.prices.length).toBeLessThanOrEqual(3);
      all.push(...page.prices);
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    const ids = all.map(({ productId }) => productId);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(all.filter(({ productId }) => made.includes(productId))).toMatchObject([
      { productId: one, price: euros(4n), version: 3 },
      { productId: other, price: euros(3n, 500_000_000), version: 1 },
    ]);
    expect(await refusalOf(client.listPrices({ pageToken: "made up" }))).toEqual(invalid("page_token"));
  });

  test("an update changes what its mask names, and announces a new price only", async () => {
    const productId = await newProduct();
    const product = { ...draft(productId), name: "Renamed", price: euros(4n), description: "left alone" };
    const renamed = await client.updateProduct({ product, updateMask: { paths: ["name"] } });
    expect(renamed.product).toMatchObject({
      name: "Renamed",
      description: "A thing.",
      price: euros(3n, 500_000_000),
    });
    await client.updateProduct({ product, updateMask: { paths: ["price"] } });
    expect((await events(productId)).slice(1)).toMatchObject([
      { oldPrice: euros(3n, 500_000_000), newPrice: euros(4n) },
    ]);
    const all = await client.updateProduct({ product, updateMask: { paths: ["*"] } });
    expect(all.product).toMatchObject(product);
  });

  test("an update checks what its mask names, and nothing else", async () => {
    const productId = await newProduct();
    const product = { productId, name: "" };
    expect(await refusalOf(client.updateProduct({ product, updateMask: { paths: ["name"] } }))).toEqual(
      invalid("product.name"),
    );
    expect(await refusalOf(client.updateProduct({ product, updateMask: { paths: ["rating"] } }))).toEqual(
      invalid("update_mask"),
    );
    expect(await refusalOf(client.updateProduct({ updateMask: { paths: ["name"] } }))).toEqual(
      invalid("product.product_id"),
    );
    const unknown = client.updateProduct({ product: draft("nothing"), updateMask: { paths: ["name"] } });
    expect(await refusalOf(unknown)).toEqual({ code: "NotFound", reason: "PRODUCT_NOT_FOUND", domain });
  });

  test("an import takes the good rows and says what is wrong with the others", async () => {
    const known = await newProduct();
    async function* rows() {
      yield { product: draft(`p-${randomUUID()}`) };
      yield { product: { ...draft("bad"), name: "", price: euros(-1n) } };
      yield {};
      yield { product: draft("") };
      yield { product: { ...draft(known), name: "Replaced" } };
    }
    expect(await client.importProducts(rows())).toMatchObject({
      createdCount: 1,
      updatedCount: 1,
      failedCount: 3,
      errors: [
        { row: 2, productId: "bad", field: "product.name" },
        { row: 2, productId: "bad", field: "product.price" },
        { row: 3, productId: "", field: "product" },
        { row: 4, productId: "", field: "product.product_id" },
      ],
    });
    expect((await client.getProduct({ productId: known })).product?.name).toBe("Replaced");
  });
});

describe("stock", () => {
  test("is reserved, committed and never given back; each step may be repeated", async () => {
    const productId = await newProduct(10);
    const [orderId, lines] = [randomUUID(), [{ productId, quantity: 3 }]];
    for (let i = 0; i < 2; i++) {
      const { reservation } = await client.reserveStock({ orderId, lines });
      expect(reservation).toMatchObject({ orderId, lines, state: ReservationState.RESERVED });
    }
    for (let i = 0; i < 2; i++) {
      expect((await client.commitStock({ orderId })).reservation?.state).toBe(ReservationState.COMMITTED);
    }
    expect(await refusalOf(client.releaseStock({ orderId }))).toEqual({
      code: "FailedPrecondition",
      reason: "RESERVATION_COMMITTED",
      domain,
    });
    expect(await stockOf(productId)).toBe(7);
    expect(await names(productId)).toEqual(["ProductCreated", "StockReserved"]);
  });

  test("is given back once, however often that is asked for", async () => {
    const productId = await newProduct(10);
    const orderId = randomUUID();
    await client.reserveStock({ orderId, lines: [{ productId, quantity: 3 }] });
    for (let i = 0; i < 2; i++) {
      expect((await client.releaseStock({ orderId })).reservation?.state).toBe(ReservationState.RELEASED);
    }
    expect(await stockOf(productId)).toBe(10);
    expect(await events(productId)).toMatchObject([
      {},
      { orderId, quantity: 3, availableStock: 7 },
      { orderId, quantity: 3, availableStock: 10 },
    ]);
  });

  test("is not reserved by a reservation that comes after its release", async () => {
    const productId = await newProduct(10);
    const orderId = randomUUID();
    await client.releaseStock({ orderId });
    const late = client.reserveStock({ orderId, lines: [{ productId, quantity: 1 }] });
    const refused = { code: "FailedPrecondition", reason: "RESERVATION_RELEASED", domain };
    expect(await refusalOf(late)).toEqual(refused);
    expect(await refusalOf(client.commitStock({ orderId }))).toEqual(refused);
    expect(await stockOf(productId)).toBe(10);
  });

  test("is reserved for all lines or for none", async () => {
    const [enough, short] = [await newProduct(10), await newProduct(1)];
    const lines = [
      { productId: enough, quantity: 1 },
      { productId: short, quantity: 2 },
    ];
    const orderId = randomUUID();
    expect(await refusalOf(client.reserveStock({ orderId, lines }))).toEqual({
      code: "FailedPrecondition",
      reason: "OUT_OF_STOCK",
      domain,
    });
    expect([await stockOf(enough), await stockOf(short)]).toEqual([10, 1]);
    expect(await names(enough)).toEqual(["ProductCreated"]);
    expect(await refusalOf(client.commitStock({ orderId }))).toMatchObject({
      reason: "RESERVATION_NOT_FOUND",
    });
  });

  test("refuses other lines under a known order, an unknown product, and a product in two lines", async () => {
    const productId = await newProduct(10);
    const orderId = randomUUID();
    await client.reserveStock({ orderId, lines: [{ productId, quantity: 1 }] });
    const other = client.reserveStock({ orderId, lines: [{ productId, quantity: 2 }] });
    expect(await refusalOf(other)).toMatchObject({ code: "AlreadyExists", reason: "RESERVATION_DIFFERS" });
    const unknown = client.reserveStock({
      orderId: randomUUID(),
      lines: [{ productId: "nothing", quantity: 1 }],
    });
    expect(await refusalOf(unknown)).toMatchObject({ code: "NotFound", reason: "PRODUCT_NOT_FOUND" });
    const line = { productId, quantity: 1 };
    expect(await refusalOf(client.reserveStock({ orderId: randomUUID(), lines: [line, line] }))).toEqual(
      invalid("lines"),
    );
  });

  test("is never sold twice, whatever the number of orders that want it", async () => {
    const productId = await newProduct(5);
    const wants = Array.from({ length: 20 }, () =>
      client.reserveStock({ orderId: randomUUID(), lines: [{ productId, quantity: 1 }] }).then(
        () => "reserved",
        () => "refused",
      ),
    );
    const outcomes = await Promise.all(wants);
    expect(outcomes.filter((outcome) => outcome === "reserved")).toHaveLength(5);
    expect(await stockOf(productId)).toBe(0);
  });

  test("says once that it is low", async () => {
    const productId = await newProduct(6);
    for (let i = 0; i < 3; i++) {
      await client.reserveStock({ orderId: randomUUID(), lines: [{ productId, quantity: 1 }] });
    }
    const low = (await events(productId)).filter((event) => event.$typeName.endsWith("StockLow"));
    expect(low).toMatchObject([{ availableStock: 4, threshold: 5 }]);
  });

  test("can be watched: as it is, then at each change", async () => {
    const [watched, other] = [await newProduct(10), await newProduct(10)];
    const stop = new AbortController();
    const seen: [string, number][] = [];
    const stream = client.watchStock({ productIds: [watched, other] }, { signal: stop.signal });
    await expect(async () => {
      for await (const { productId, availableStock } of stream) {
        seen.push([productId, availableStock]);
        if (seen.length === 2) {
          await client.reserveStock({ orderId: randomUUID(), lines: [{ productId: watched, quantity: 4 }] });
        }
        if (seen.length === 3) stop.abort();
      }
    }).rejects.toThrow();
    expect(seen).toEqual([
      [watched, 10],
      [other, 10],
      [watched, 6],
    ]);
  });
});

import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { currentWork } from "../../core/work.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { meshClient } from "../client/client.ts";

const calls = await new Promise<Parameters<typeof meshClient>[1]>((resolve) =>
  testServer(
    ProductService,
    {
      getProduct: ({ productId }) =>
        productId === "slow" ? new Promise(() => {}) : { product: { name: currentWork()?.requestId ?? "" } },
      async *watchStock({ productIds }) {
        for (const productId of productIds) yield { productId };
      },
    },
    {
      web: (own) => {
        resolve(own);
        return () => undefined;
      },
    },
  ),
);
const client = meshClient(ProductService, calls);

test("a call within the process passes the layers of its server", async () => {
  const { product } = await client.getProduct({ productId: "p1" }, { headers: { "x-request-id": "r1" } });
  expect(product?.name).toBe("r1");
  expect(await refusalOf(client.getProduct({ productId: "" }))).toMatchObject({
    code: "InvalidArgument",
    reason: "INVALID_REQUEST",
  });
  const stocks = await Array.fromAsync(client.watchStock({ productIds: ["a", "b"] }));
  expect(stocks.map(({ productId }) => productId)).toEqual(["a", "b"]);
});

test("that its time is up is told with the reason of the layers", async () => {
  expect(await refusalOf(client.getProduct({ productId: "slow" }, { timeoutMs: 20 }))).toMatchObject({
    code: "DeadlineExceeded",
    reason: "DEADLINE_EXCEEDED",
  });
});

test("a timeout that no timer can keep is no short one", async () => {
  expect(await client.getProduct({ productId: "p1" }, { timeoutMs: 2 ** 40 })).toBeDefined();
});

import { createClient } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";

const product = { productIds: ["p1"] };
const shed = { code: "Unavailable", reason: "SHED", domain: "mesh.weft" };

/** A server that takes two streams. */
async function two(protocol: (typeof WIRE_PROTOCOLS)[number]) {
  const server = await testServer(
    ProductService,
    {
      getProduct: () => ({}),
      async *watchStock(_, { signal }) {
        yield {};
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    },
    { maxStreams: 2 },
  );
  const transport = protocol.open(server);
  const client = createClient(ProductService, transport);
  const watch = () => {
    const leaving = new AbortController();
    const messages = client.watchStock(product, { signal: leaving.signal })[Symbol.asyncIterator]();
    return { next: () => messages.next(), leave: () => leaving.abort() };
  };
  return { server, transport, client, watch };
}

describe.each(WIRE_PROTOCOLS)("over $name", (protocol) => {
  test("streams beyond the bound are refused with SHED; calls and health are not; who leaves makes room", async () => {
    const { server, transport, client, watch } = await two(protocol);
    const open = [watch(), watch()];
    for (const { next } of open) await next();
    expect(server.state().streams).toBe(2);
    expect(await refusalOf(watch().next())).toEqual(shed);
    await client.getProduct({ productId: "p1" });
    await createClient(Health, transport).check({});
    open[0]?.leave();
    await expect.poll(() => server.state().streams).toBe(1);
    await watch().next();
    expect(server.state().streams).toBe(2);
  });
});

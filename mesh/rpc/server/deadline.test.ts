import { setTimeout as delay } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { currentWork, type Work } from "../../core/work.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { meshClient } from "../client/client.ts";
import type { ServerOptions } from "./server.ts";

/** A server whose handler looks at nothing and ends when the test lets it. */
async function stubborn(options: Partial<ServerOptions> = {}) {
  const clock = manualClock();
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const works: (Work | undefined)[] = [];
  const server = await testServer(
    ProductService,
    {
      async getProduct() {
        works.push(currentWork());
        begun.resolve();
        await release.promise;
        ended.resolve();
        return {};
      },
    },
    { ...options, clock },
  );
  return { server, clock, works, begun: begun.promise, release: release.resolve, ended: ended.promise };
}

const overdue = { code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED", domain: "mesh.weft" };

/** What the server itself answers to a call that names this timeout: `fetch` keeps no deadline of its own. */
async function answerTo(url: string, timeoutMs: number) {
  const response = await fetch(`${url}/shop.product.v1.ProductService/GetProduct`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": String(timeoutMs) },
    body: '{"productId":"p1"}',
  });
  return { status: response.status, body: await response.json() };
}

test("a handler that ignores its signal is answered for at its deadline, and counted until it ends (D4, B5)", async () => {
  const { server, clock, works, begun, release, ended } = await stubborn();
  const answer = answerTo(server.url, 20_000);
  await begun;
  clock.advance(20_000);
  expect(await answer).toMatchObject({
    status: 504,
    body: {
      code: "deadline_exceeded",
      details: [{ debug: { reason: "DEADLINE_EXCEEDED", domain: "mesh.weft" } }],
    },
  });
  // The answer has come while the handler still works: only now it is let go.
  expect(works[0]?.signal?.aborted).toBe(true);
  expect(server.state().abandonedHandlers).toBe(1);
  release();
  await ended;
  await expect.poll(() => server.state().abandonedHandlers).toBe(0);
});

test.each(WIRE_PROTOCOLS)("so it is over $name, for a caller that names no timeout", async (protocol) => {
  const { server, clock, works, begun, release, ended } = await stubborn({ timeouts: { defaultMs: 50 } });
  const client = meshClient(ProductService, protocol.open(server));
  const refusal = refusalOf(client.getProduct({ productId: "p1" }));
  await begun;
  clock.advance(50);
  expect(await refusal).toEqual(overdue);
  expect(works[0]?.signal?.aborted).toBe(true);
  release();
  await ended;
});

test("no caller gets more time than the server gives", async () => {
  const { server, clock, begun, release } = await stubborn({ timeouts: { maxMs: 50 } });
  const answer = answerTo(server.url, 3_600_000);
  await begun;
  clock.advance(50);
  expect(await answer).toMatchObject({ status: 504 });
  release();
});

test("the deadline of a call is what its caller asks, within the server's bounds", async () => {
  const { server, works, release } = await stubborn();
  release();
  await answerTo(server.url, 20_000);
  await answerTo(server.url, 3_600_000);
  await fetch(`${server.url}/shop.product.v1.ProductService/GetProduct`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"productId":"p1"}',
  });
  expect(works.map((work) => work?.deadlineMs)).toEqual([20_000, 60_000, 30_000]);
});

test("a handler that fails after its deadline has passed harms nobody", async () => {
  const clock = manualClock();
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = await testServer(
    ProductService,
    {
      async getProduct({ productId }) {
        if (productId === "p2") return {};
        begun.resolve();
        await release.promise;
        throw new Error("too late");
      },
    },
    { timeouts: { defaultMs: 50 }, clock },
  );
  const client = meshClient(ProductService, WIRE_PROTOCOLS[0]?.open(server) as never);
  const refusal = refusalOf(client.getProduct({ productId: "p1" }));
  await begun.promise;
  clock.advance(50);
  expect(await refusal).toEqual(overdue);
  release.resolve();
  // An unhandled rejection would fail the run.
  expect(await client.getProduct({ productId: "p2" })).toMatchObject({});
});

test.each([
  ["connect-timeout-ms", "9999999999", "Connect over HTTP/1.1"],
  ["connect-timeout-ms", "9999999999", "Connect over HTTP/2"],
  ["grpc-timeout", "1000H", "gRPC by connect-node"],
  ["grpc-timeout", "99999999H", "gRPC by connect-node"],
  ["grpc-timeout", "1000H", "gRPC-Web over HTTP/1.1"],
])("%s: %s is patience, not haste, over %s (D5, B4, B13)", async (header, value, name) => {
  const server = await testServer(ProductService, {
    async getProduct(_, { signal }) {
      // A timer that was set to too much fires after 1 ms: before this one, which is set later.
      await delay(2);
      return { product: { name: `aborted: ${signal.aborted}` } };
    },
    async *watchStock(_, { signal }) {
      await delay(2);
      yield { productId: `aborted: ${signal.aborted}` };
    },
  });
  const protocol = WIRE_PROTOCOLS.find((each) => each.name === name);
  const client = meshClient(ProductService, protocol?.open(server) as never);
  const headers = { [header]: value };
  const { product } = await client.getProduct({ productId: "p1" }, { headers });
  expect(product?.name).toBe("aborted: false");
  const [stock] = await Array.fromAsync(client.watchStock({ productIds: ["p1"] }, { headers }));
  expect(stock?.productId).toBe("aborted: false");
});

test.each([
  ["connect-timeout-ms", "soon", "Connect over HTTP/1.1"],
  ["connect-timeout-ms", "-1", "Connect over HTTP/1.1"],
  ["connect-timeout-ms", "99.5", "Connect over HTTP/2"],
  ["connect-timeout-ms", "99999999999", "Connect over HTTP/2"],
  ["grpc-timeout", "soon", "gRPC by connect-node"],
  ["grpc-timeout", "5 S", "gRPC by connect-node"],
  ["grpc-timeout", "123456789m", "gRPC by connect-node"],
  ["grpc-timeout", "5", "gRPC-Web over HTTP/1.1"],
])("%s: %s is INVALID_ARGUMENT (D5)", async (header, value, name) => {
  const server = await testServer(ProductService, { getProduct: () => ({}) });
  const protocol = WIRE_PROTOCOLS.find((each) => each.name === name);
  const client = meshClient(ProductService, protocol?.open(server) as never);
  const call = client.getProduct({ productId: "p1" }, { headers: { [header]: value } });
  await expect(call).rejects.toMatchObject({ code: Code.InvalidArgument });
});

test.each(["1n", "1u", "1m"])("grpc-timeout: %s is hardly any time, and soon over (D5)", async (timeout) => {
  const { server, clock, begun, release } = await stubborn();
  const client = meshClient(ProductService, WIRE_PROTOCOLS[1]?.open(server) as never);
  const call = client.getProduct({ productId: "p1" }, { headers: { "grpc-timeout": timeout } });
  const refused = expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
  // A question that arrives in parts may be late before its handler begins: then it never does.
  await Promise.race([begun, refused]);
  clock.advance(1);
  await refused;
  release();
});

test("a stream without a timeout has none", async () => {
  const works: (Work | undefined)[] = [];
  const server = await testServer(
    ProductService,
    {
      async *watchStock() {
        works.push(currentWork());
        yield {};
      },
    },
    { timeouts: { defaultMs: 1, maxMs: 1 } },
  );
  const client = meshClient(ProductService, WIRE_PROTOCOLS[0]?.open(server) as never);
  await Array.fromAsync(client.watchStock({ productIds: ["p1"] }));
  expect(works[0]?.deadlineMs).toBe(Number.POSITIVE_INFINITY);
});

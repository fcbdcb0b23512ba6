import type { Message } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectError,
  createContextKey,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { runWork, type Work } from "../../core/work.ts";
import { atEnd } from "../../testing/at-end.ts";
import { fails, scriptedBackend } from "../../testing/scripted-backend.ts";
import { testServer } from "../../testing/server.ts";
import { countable, type ToyClientOptions, toyTarget } from "../../testing/toy-client.ts";
import { toConnectError } from "../errors.ts";
import { meshClient, openTarget } from "./client.ts";
import { PROTOCOLS } from "./protocol.ts";
import { askedKey } from "./target-state.ts";

/** A client of one backend, and the backend. */
async function calling(options: ToyClientOptions = {}) {
  const service = countable();
  const backend = await scriptedBackend({ protocol: "grpc", service });
  const client = meshClient(service, toyTarget("grpc", service, [backend.endpoint], options));
  return { client, backend };
}

test("a call tells how much the work matters that it is made for, and nothing outside of any", async () => {
  const { client, backend } = await calling();
  const headers = { "mesh-criticality": "CRITICAL_PLUS", "x-own": "own" };
  await runWork({ deadlineMs: Number.POSITIVE_INFINITY, criticality: "SHEDDABLE" } as Work, async () => {
    await client.ask({});
    // Its own headers go along; how much it matters is not for it to say.
    await client.ask({}, { headers });
  });
  await client.ask({});
  expect(backend.attempts.map(({ headers }) => [headers["mesh-criticality"], headers["x-own"]])).toEqual([
    ["SHEDDABLE", undefined],
    ["SHEDDABLE", "own"],
    [undefined, undefined],
  ]);
});

test("what the stack notes of a call it does not leave in its caller's headers and context", async () => {
  const key = createContextKey("nobody");
  const seen: string[] = [];
  const { client, backend } = await calling({
    interceptors: [
      (next) => (request) => {
        seen.push(request.contextValues.get(key));
        return next(request);
      },
    ],
  });
  backend.plays(fails(Code.Unavailable));
  const headers = new Headers({ "x-own": "own" });
  const contextValues = createContextValues().set(key, "somebody");
  await client.ask({}, { headers, contextValues, timeoutMs: 20_000 });
  expect([backend.attempts.length, seen]).toEqual([2, ["somebody", "somebody"]]);
  expect([...headers]).toEqual([["x-own", "own"]]);
  expect(contextValues.get(askedKey)).toBeUndefined();
});

test("what a service answers is its answer, in the middle of a stream too, and does not pass for ours", async () => {
  const { client, backend } = await calling();
  backend.plays(fails(Code.NotFound), fails(Code.NotFound), fails(Code.NotFound, { messages: ["a"] }));
  const errors: ConnectError[] = [];
  const note = (error: ConnectError) => void errors.push(error);
  await client.ask({}).catch(note);
  await Array.fromAsync(client.watch({})).catch(note);
  await Array.fromAsync(client.watch({})).catch(note);
  expect(errors.map(({ code }) => code)).toEqual([Code.NotFound, Code.NotFound, Code.NotFound]);
  expect(errors.map((error) => toConnectError(error).code)).toEqual(Array(3).fill(Code.Internal));
});

test("that no time was left is our own word, and passes", async () => {
  const { client, backend } = await calling();
  const error = await client.ask({}, { timeoutMs: 0 }).catch((thrown) => thrown);
  expect(toConnectError(error)).toBe(error);
  expect(backend.attempts).toEqual([]);
});

test.each(PROTOCOLS)(
  "over %s the messages of a stream may be plain objects; layers see messages",
  async (protocol) => {
    const types: string[] = [];
    const names: (string | undefined)[] = [];
    const server = await testServer(ProductService, {
      async importProducts(rows) {
        for await (const { product } of rows) names.push(product?.name);
        return { createdCount: names.length };
      },
    });
    const noting: Interceptor = (next) => (request) =>
      next(request.stream ? { ...request, message: noted(request.message) } : request);
    async function* noted<M extends Message>(messages: AsyncIterable<M>) {
      for await (const message of messages) {
        types.push(message.$typeName);
        yield message;
      }
    }
    const target = openTarget(
      { target: { scheme: "static", endpoints: [server.endpoint] }, protocol, service: ProductService },
      { observer: { call: noting }, watchesHealth: false },
    );
    atEnd(async () => target.close());
    async function* rows() {
      yield { product: { name: "Beans" } };
      yield { product: { name: "Cups" } };
    }
    const { createdCount } = await meshClient(ProductService, target).importProducts(rows());
    expect([createdCount, names]).toEqual([2, ["Beans", "Cups"]]);
    expect(types).toEqual(Array(2).fill("shop.product.v1.ImportProductsRequest"));
  },
);

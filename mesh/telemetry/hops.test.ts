import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  type HandlerContext,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { childOf, parseTraceparent } from "../core/trace.ts";
import { currentWork, iterateAsWork, runWork, type Work } from "../core/work.ts";
import { atEnd } from "../testing/at-end.ts";
import { attemptTelemetry } from "./attempt-telemetry.ts";
import { callTelemetry } from "./call-telemetry.ts";
import { type RecordedSpan, type RecordingTelemetry, recordingTelemetry } from "./recording.ts";
import { serverTelemetry } from "./server-telemetry.ts";
import { noTelemetry, type Telemetry } from "./telemetry.ts";

const product = { productId: "p1" };
const getProduct = "shop.product.v1.ProductService/GetProduct";
const getOrder = "shop.order.v1.OrderService/GetOrder";

/** What makes an incoming call the present work. */
function asWork(telemetry: Telemetry): Interceptor {
  return (next) => async (request) => {
    const { header, signal } = request;
    const parent = parseTraceparent(header.get("traceparent"), header.get("tracestate"));
    const work: Work = {
      trace: childOf(parent, telemetry.sampler),
      requestId: header.get("x-request-id") ?? "made here",
      deadlineMs: telemetry.clock.now() + 5_000,
      signal,
    };
    const response = await runWork(work, () => next(request));
    return response.stream ? { ...response, message: iterateAsWork(work, response.message) } : response;
  };
}

/** Serves on a free port, until the end of the test. */
async function serve(telemetry: Telemetry, routes: (router: ConnectRouter) => void): Promise<string> {
  const interceptors = [
    asWork(telemetry),
    serverTelemetry(telemetry, { attributesOf: () => ({ extra: 1 }) }),
  ];
  const server = createServer(connectNodeAdapter({ routes, interceptors }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

type System = "grpc" | "connectrpc";

/** Opens a way to a server, through both layers of telemetry and what a test puts between them. */
function open(telemetry: Telemetry, baseUrl: string, system: System, between: Interceptor[] = []): Transport {
  const options = { system, target: "static:///there", address: "there", port: 7 } as const;
  const sessionManager = new Http2SessionManager(baseUrl);
  atEnd(async () => sessionManager.abort());
  const interceptors = [callTelemetry(telemetry, options), ...between, attemptTelemetry(telemetry, options)];
  return system === "grpc"
    ? createGrpcTransport({ baseUrl, sessionManager, interceptors })
    : createConnectTransport({ baseUrl, httpVersion: "2", sessionManager, interceptors });
}

/** Two services, of which the first asks the second; and what each of them and the caller records. */
async function twoHops(
  env: Record<string, string> = {},
  answer: (context: HandlerContext) => object | Promise<object> = () => ({}),
) {
  const [caller, orders, products] = [0, 1, 2].map(() => recordingTelemetry(env)) as [
    RecordingTelemetry,
    RecordingTelemetry,
    RecordingTelemetry,
  ];
  const works: (Work | undefined)[] = [];
  const heard: Headers[] = [];
  const productUrl = await serve(products, (router) =>
    router.service(ProductService, {
      getProduct(_, context) {
        works.push(currentWork());
        heard.push(context.requestHeader);
        return answer(context);
      },
    }),
  );
  const productClient = createClient(ProductService, open(orders, productUrl, "connectrpc"));
  const orderUrl = await serve(orders, (router) =>
    router.service(OrderService, {
      async getOrder(_, context) {
        works.push(currentWork());
        heard.push(context.requestHeader);
        await productClient.getProduct(product);
        return {};
      },
    }),
  );
  const client = createClient(OrderService, open(caller, orderUrl, "grpc"));
  const spans = async () =>
    (await Promise.all([caller, orders, products].map((each) => each.spans()))).flat();
  return { client, caller, orders, products, works, heard, spans };
}

function named(spans: readonly RecordedSpan[], name: string, kind: "client" | "server"): RecordedSpan {
  const found = spans.filter((span) => span.name === name && span.kind === kind);
  expect(found).toHaveLength(1);
  return found[0] as RecordedSpan;
}

test("a call over two hops is one trace, each span the child of what caused it, with the ids of headers and logs", async () => {
  const { client, works, heard, spans } = await twoHops();
  await client.getOrder({ orderId: "o1" });
  const all = await spans();
  expect(all).toHaveLength(6);
  expect(new Set(all.map((span) => span.traceId)).size).toBe(1);

  const line = [
    named(all, getOrder, "client"),
    named(all, `attempt ${getOrder}`, "client"),
    named(all, getOrder, "server"),
    named(all, getProduct, "client"),
    named(all, `attempt ${getProduct}`, "client"),
    named(all, getProduct, "server"),
  ];
  expect(line.map((span) => span.parentId)).toEqual([
    undefined,
    ...line.slice(0, -1).map((span) => span.spanId),
  ]);
  expect(line.map((span) => span.isRemote)).toEqual([false, false, true, false, false, true]);
  expect(works.map((work) => work?.trace.spanId)).toEqual([line[2]?.spanId, line[5]?.spanId]);
  expect(heard.map((header) => parseTraceparent(header.get("traceparent"))?.spanId)).toEqual([
    line[1]?.spanId,
    line[4]?.spanId,
  ]);
  for (const span of all) {
    expect(span.failure).toBeUndefined();
    expect(span.attributes).toMatchObject({ "rpc.status_code": "OK" });
    expect(span.attributes).not.toHaveProperty("error.type");
  }
});

test("spans say which method was called, where, and how", async () => {
  const { client, spans } = await twoHops();
  await client.getOrder({ orderId: "o1" });
  const all = await spans();
  expect(named(all, getOrder, "client").attributes).toEqual({
    "rpc.system.name": "grpc",
    "rpc.method": getOrder,
    "rpc.status_code": "OK",
    "server.address": "there",
    "server.port": 7,
  });
  expect(named(all, `attempt ${getOrder}`, "client").attributes).toMatchObject({
    "grpc.target": "static:///there",
  });
  expect(named(all, getOrder, "server").attributes).toMatchObject({ "rpc.system.name": "grpc", extra: 1 });
  expect(named(all, getProduct, "server").attributes).toMatchObject({ "rpc.system.name": "connectrpc" });
});

test("what fails is told by every span on the way, each with its own word for it", async () => {
  const { client, spans } = await twoHops({}, () => {
    throw new ConnectError("no such product", Code.NotFound);
  });
  await expect(client.getOrder({ orderId: "o1" })).rejects.toThrow();
  const all = await spans();
  expect(named(all, getProduct, "client")).toMatchObject({
    attributes: { "rpc.status_code": "NOT_FOUND", "error.type": "NOT_FOUND" },
    failure: "[not_found] no such product",
  });
  // It is not the server's fault that it was asked for what is not there.
  const answered = named(all, getProduct, "server");
  expect(answered.attributes).toMatchObject({ "rpc.status_code": "NOT_FOUND" });
  expect(answered.attributes).not.toHaveProperty("error.type");
  expect(answered.failure).toBeUndefined();
});

test("a handler that throws something else is UNKNOWN, by the name of its error", async () => {
  const { client, spans } = await twoHops({}, () => {
    throw new RangeError("a bug");
  });
  await expect(client.getOrder({ orderId: "o1" })).rejects.toThrow();
  expect(named(await spans(), getProduct, "server")).toMatchObject({
    attributes: { "rpc.status_code": "UNKNOWN", "error.type": "RangeError" },
    failure: "a bug",
  });
});

describe("a trace that is not sampled", () => {
  test("is recorded nowhere, though each of its services could, and has one id all the same", async () => {
    const { client, works, heard, spans } = await twoHops({ OTEL_TRACES_SAMPLER: "parentbased_always_off" });
    await client.getOrder({ orderId: "o1" });
    expect(await spans()).toEqual([]);
    expect(works.map((work) => work?.trace.flags)).toEqual(["00", "00"]);
    expect(new Set(works.map((work) => work?.trace.traceId)).size).toBe(1);
    for (const header of heard) expect(header.get("traceparent")).toMatch(/-00$/);
  });

  test("is decided on once: a server does not decide again for a caller that said no", async () => {
    const caller = recordingTelemetry({ OTEL_TRACES_SAMPLER: "parentbased_always_off" });
    const server = recordingTelemetry();
    const url = await serve(server, (router) => router.service(ProductService, { getProduct: () => ({}) }));
    await createClient(ProductService, open(caller, url, "grpc")).getProduct(product);
    expect(await server.spans()).toEqual([]);
  });

  test("of one that is, continues: a caller's decision holds, whatever our own sampler says of new traces", async () => {
    const telemetry = recordingTelemetry({ OTEL_TRACES_SAMPLER: "parentbased_always_off" });
    const url = await serve(telemetry, (router) =>
      router.service(ProductService, { getProduct: () => ({}) }),
    );
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
    const client = createClient(ProductService, open(noTelemetry, url, "grpc"));
    await client.getProduct(product, { headers: { traceparent } });
    expect(await telemetry.spans()).toMatchObject([
      { traceId: "a".repeat(32), parentId: "b".repeat(16), isRemote: true },
    ]);
  });
});

test("tracestate and the request id pass through unchanged", async () => {
  const { client, caller, heard } = await twoHops();
  const trace = { ...childOf(undefined, () => true), state: "vendor=a1,other=b2" };
  const work = { trace, requestId: "req-7", deadlineMs: Number.POSITIVE_INFINITY };
  await runWork(work, () => client.getOrder({ orderId: "o1" }));
  expect(heard.map((header) => header.get("tracestate"))).toEqual([trace.state, trace.state]);
  expect(heard.map((header) => header.get("x-request-id"))).toEqual(["req-7", "req-7"]);
  const [attempt, call] = await caller.spans();
  expect(call).toMatchObject({ traceId: trace.traceId, parentId: trace.spanId });
  expect(attempt).toMatchObject({ parentId: call?.spanId });
});

test("when it is off, the headers of the present work are sent still, and nothing is kept", async () => {
  const heard: Headers[] = [];
  const url = await serve(noTelemetry, (router) =>
    router.service(ProductService, {
      getProduct(_, { requestHeader }) {
        heard.push(requestHeader);
        return {};
      },
    }),
  );
  const client = createClient(ProductService, open(noTelemetry, url, "grpc"));
  const trace = childOf(undefined);
  await runWork({ trace, requestId: "req-8", deadlineMs: Number.POSITIVE_INFINITY }, () =>
    client.getProduct(product),
  );
  await client.getProduct(product);
  expect(heard[0]?.get("traceparent")).toBe(`00-${trace.traceId}-${trace.spanId}-00`);
  expect(heard[0]?.get("x-request-id")).toBe("req-8");
  expect(heard[1]?.has("traceparent")).toBe(false);
  expect(await noTelemetry.prometheus()).toBe("");
});

describe("the attempts of one call", () => {
  const twice: Interceptor = (next) => async (request) => next(request).catch(() => next(request));

  test("are spans beside each other, each with its own id in the header that it sends", async () => {
    const telemetry = recordingTelemetry();
    const heard: (string | undefined)[] = [];
    const url = await serve(noTelemetry, (router) =>
      router.service(ProductService, {
        getProduct(_, { requestHeader }) {
          heard.push(parseTraceparent(requestHeader.get("traceparent"))?.spanId);
          if (heard.length === 1) throw new ConnectError("not yet", Code.Unavailable);
          return {};
        },
      }),
    );
    await createClient(ProductService, open(telemetry, url, "grpc", [twice])).getProduct(product);
    const [first, second, call] = await telemetry.spans();
    expect(heard).toEqual([first?.spanId, second?.spanId]);
    expect([first?.parentId, second?.parentId]).toEqual([call?.spanId, call?.spanId]);
    expect([first, second, call].map((span) => span?.attributes["rpc.status_code"])).toEqual([
      "UNAVAILABLE",
      "OK",
      "OK",
    ]);
    const text = await telemetry.prometheus();
    expect(text).toMatch(/grpc_client_attempt_started_total\{[^}]*\} 2\n/);
    expect(text).toMatch(/grpc_client_attempt_duration_count\{[^}]*grpc_status="UNAVAILABLE"[^}]*\} 1\n/);
    expect(text).toMatch(/rpc_client_call_duration_count\{[^}]*rpc_status_code="OK"[^}]*\} 1\n/);
  });
});

describe("a stream", () => {
  async function watched(system: System) {
    const server = recordingTelemetry();
    const caller = recordingTelemetry();
    const ended = Promise.withResolvers<void>();
    const url = await serve(server, (router) =>
      router.service(ProductService, {
        async *watchStock({ productIds }, { signal }) {
          try {
            yield {};
            if (productIds[0] === "broken") throw new ConnectError("broken", Code.DataLoss);
            if (productIds[0] === "stay") {
              await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
            }
            yield {};
          } finally {
            ended.resolve();
          }
        },
      }),
    );
    const client = createClient(ProductService, open(caller, url, system));
    const watch = (id: string, signal?: AbortSignal) =>
      client.watchStock({ productIds: [id] }, signal ? { signal } : {});
    return { watch, server, caller, ended: ended.promise };
  }

  test.each(["grpc", "connectrpc"] as const)("over %s lasts until its last message", async (system) => {
    const { watch, server, caller } = await watched(system);
    const messages = watch("two")[Symbol.asyncIterator]();
    await messages.next();
    expect(await caller.prometheus()).not.toContain("rpc_client_call_duration_count");
    while (!(await messages.next()).done);
    for (const telemetry of [server, caller]) {
      expect((await telemetry.spans()).at(-1)).toMatchObject({
        attributes: { "rpc.status_code": "OK", "rpc.system.name": system },
      });
    }
  });

  test("that breaks ends with its error on both sides", async () => {
    const { watch, server, caller } = await watched("grpc");
    await expect(Array.fromAsync(watch("broken"))).rejects.toThrow("broken");
    for (const telemetry of [server, caller]) {
      expect((await telemetry.spans()).at(-1)).toMatchObject({
        attributes: { "rpc.status_code": "DATA_LOSS", "error.type": "DATA_LOSS" },
        failure: "[data_loss] broken",
      });
    }
  });

  test("that its caller leaves is cancelled, which is no fault of the server", async () => {
    const { watch, server, caller, ended } = await watched("grpc");
    const leaving = new AbortController();
    const messages = watch("stay", leaving.signal)[Symbol.asyncIterator]();
    await messages.next();
    leaving.abort();
    await expect(messages.next()).rejects.toThrow();
    await ended;
    const [attempt, call] = await caller.spans();
    for (const span of [attempt, call]) {
      expect(span?.attributes).toMatchObject({ "rpc.status_code": "CANCELLED", "error.type": "CANCELLED" });
    }
    const [served] = await server.spans();
    expect(served?.attributes["rpc.status_code"]).toBe("CANCELLED");
    expect(served?.failure).toBeUndefined();
  });
});

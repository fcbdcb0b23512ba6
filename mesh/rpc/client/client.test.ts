import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { MethodPolicySchema } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { methodName, type Policies, policies } from "../../contract/policy.ts";
import { parseTraceparent } from "../../core/trace.ts";
import { currentWork, runWork } from "../../core/work.ts";
import type { Endpoint } from "../../discovery/target.ts";
import { readTimeoutMs } from "../../resilience/timeout-header.ts";
import { atEnd } from "../../testing/at-end.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { type ClientOptions, meshClient, openTarget } from "./client.ts";
import { PROTOCOLS, type Protocol } from "./protocol.ts";

/** The policies of a deployment that gives some calls this much time. */
function givenMs(timeoutMs: number): Policies {
  const policy = create(MethodPolicySchema, {
    timeout: durationFromMs(timeoutMs),
    // One attempt, which has all of it.
    redundancy: { case: "retry", value: { maxAttempts: 1 } },
  });
  const methods = [ProductService.method.batchGetProducts, OrderService.method.getOrder].map(methodName);
  return policies({ services: {}, methods: Object.fromEntries(methods.map((name) => [name, policy])) });
}

const PATIENT = givenMs(2 ** 40);

function opened(endpoint: Endpoint, protocol: Protocol, options: ClientOptions = {}) {
  const settings = { target: { scheme: "static" as const, endpoints: [endpoint] }, protocol };
  const target = openTarget(settings, { policies: PATIENT, ...options });
  atEnd(async () => target.close());
  return target;
}

/** A product service that notes what it is told beside the question. */
async function listener() {
  const heard: Headers[] = [];
  const hear = ({ requestHeader }: HandlerContext) => {
    heard.push(requestHeader);
    return {};
  };
  const server = await testServer(ProductService, {
    batchGetProducts: (_, context) => hear(context),
    async *watchStock(_, context) {
      yield hear(context);
    },
  });
  const timeouts = () => heard.map((header) => readTimeoutMs(header));
  return { endpoint: server.endpoint, heard, timeouts };
}

const work = { trace: { traceId: "1".repeat(32), spanId: "2".repeat(16), flags: "01" }, requestId: "req-1" };
const product = { productIds: ["p1"] };

// Long by the clock of the machine, which transports and the called service have.
describe("the deadline of a call, over the Connect protocol, whose header is exact", () => {
  /** The timeouts that a called service is told, in milliseconds, for calls within this work. */
  async function toldTo(leftMs: number | undefined, timeoutMs?: number, options: ClientOptions = {}) {
    const { endpoint, timeouts } = await listener();
    const clock = manualClock();
    clock.advance(1_000.25);
    const client = meshClient(ProductService, opened(endpoint, "connect", { clock, ...options }));
    const call = () => client.batchGetProducts(product, timeoutMs === undefined ? {} : { timeoutMs });
    if (leftMs === undefined) await call();
    else await runWork({ ...work, deadlineMs: clock.now() + leftMs }, call);
    return timeouts()[0];
  }

  test("is that of the present work, less 5 ms for its own answer", async () => {
    expect(await toldTo(30_000)).toBe(29_995);
  });

  test("is the caller's own if that is nearer", async () => {
    expect(await toldTo(30_000, 5_000)).toBe(5_000);
    expect(await toldTo(30_000, 50_000)).toBe(29_995);
  });

  test("is that of the policy if nobody names a nearer one", async () => {
    const given = { policies: givenMs(7_000) };
    expect(await toldTo(undefined, undefined, given)).toBe(7_000);
    expect(await toldTo(60_000, undefined, given)).toBe(7_000);
    expect(await toldTo(Number.POSITIVE_INFINITY, 50_000, given)).toBe(7_000);
  });

  test("loses its fraction, which no header can carry (B2)", async () => {
    expect(await toldTo(10_004.9)).toBe(9_999);
    expect(await toldTo(undefined, 9_999.5)).toBe(9_999);
  });

  test("is no longer than a timer can keep (B3)", async () => {
    expect(await toldTo(undefined, 2 ** 31)).toBe(2 ** 31 - 1);
    expect(await toldTo(undefined, Number.MAX_SAFE_INTEGER)).toBe(2 ** 31 - 1);
  });

  test("is none for a stream outside of any work", async () => {
    const { endpoint, timeouts } = await listener();
    const client = meshClient(ProductService, opened(endpoint, "connect"));
    for await (const _ of client.watchStock({ productIds: ["p1"] }));
    expect(timeouts()).toEqual([undefined]);
  });
});

describe.each(PROTOCOLS)("over %s", (protocol) => {
  test("a call with more patience than a timer keeps is answered (B3)", async () => {
    const { endpoint, timeouts } = await listener();
    const client = meshClient(ProductService, opened(endpoint, protocol));
    await client.batchGetProducts(product, { timeoutMs: 2 ** 31 });
    expect(timeouts()[0]).toBeGreaterThan(2 ** 31 - 10_000);
  });

  test.each([0, -5, 6.9])("with %d ms left it is not sent, and says so (B1)", async (leftMs) => {
    const { endpoint, heard } = await listener();
    const clock = manualClock();
    const client = meshClient(ProductService, opened(endpoint, protocol, { clock }));
    const refused = { code: "DeadlineExceeded", reason: "DEADLINE_BUDGET_EXHAUSTED", domain: "mesh.weft" };
    const within = { ...work, deadlineMs: clock.now() + leftMs };
    expect(await runWork(within, () => refusalOf(client.batchGetProducts(product)))).toEqual(refused);
    const watching = () =>
      client
        .watchStock({ productIds: ["p1"] })
        [Symbol.asyncIterator]()
        .next();
    expect(await runWork(within, () => refusalOf(watching()))).toEqual(refused);
    expect(heard).toEqual([]);
  });

  test.each([0, -5])("a timeout of %d ms means none left, not no end (B1)", async (timeoutMs) => {
    const { endpoint, heard } = await listener();
    const client = meshClient(ProductService, opened(endpoint, protocol));
    expect(await refusalOf(client.batchGetProducts(product, { timeoutMs }))).toMatchObject({
      reason: "DEADLINE_BUDGET_EXHAUSTED",
    });
    expect(heard).toEqual([]);
  });

  /** An order service that asks the product service, after it has spent some time. */
  async function chain(spendMs: number) {
    const product = await listener();
    const clock = manualClock();
    const products = meshClient(ProductService, opened(product.endpoint, protocol, { clock }));
    const order = await testServer(
      OrderService,
      {
        async getOrder() {
          clock.advance(spendMs);
          await products.batchGetProducts({ productIds: ["p1"] });
          return {};
        },
        async *watchOrder() {
          clock.advance(spendMs);
          for await (const _ of products.watchStock({ productIds: ["p1"] })) yield {};
        },
      },
      { clock },
    );
    // The longest wait before another attempt, for which there is no time: this clock stands still.
    const edge = { clock, random: () => 0.99 };
    return { ...product, orders: meshClient(OrderService, opened(order.endpoint, "connect", edge)) };
  }

  test("passes the deadline of the incoming call on, less the time spent", async () => {
    const { orders, timeouts } = await chain(1_200);
    await orders.getOrder({ orderId: "o1" }, { timeoutMs: 5_000 });
    for await (const _ of orders.watchOrder({ orderId: "o1" }, { timeoutMs: 5_000 }));
    expect(timeouts()).toHaveLength(2);
    for (const timeoutMs of timeouts()) {
      // grpc-js writes what is left when it sends, which is a little less than what it was given.
      expect(timeoutMs).toBeLessThanOrEqual(3_795);
      expect(timeoutMs).toBeGreaterThan(protocol === "connect" ? 3_794 : 2_000);
    }
  });

  test("a handler that has spent its caller's time gets DEADLINE_BUDGET_EXHAUSTED, and so does its caller", async () => {
    const { orders, heard } = await chain(4_996);
    const refused = { code: "DeadlineExceeded", reason: "DEADLINE_BUDGET_EXHAUSTED", domain: "mesh.weft" };
    expect(await refusalOf(orders.getOrder({ orderId: "o1" }, { timeoutMs: 5_000 }))).toEqual(refused);
    expect(heard).toEqual([]);
  });

  test("a caller that leaves takes the calls along that were made for it", async () => {
    const begun = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const product = await testServer(ProductService, {
      batchGetProducts(_, { signal }) {
        begun.resolve();
        signal.addEventListener("abort", () => left.resolve());
        return new Promise<never>(() => {});
      },
    });
    const products = meshClient(ProductService, opened(product.endpoint, protocol));
    const order = await testServer(OrderService, {
      async getOrder() {
        await products.batchGetProducts({ productIds: ["p1"] });
        return {};
      },
    });
    const leaving = new AbortController();
    const orders = meshClient(OrderService, opened(order.endpoint, "grpc"));
    const call = orders.getOrder({ orderId: "o1" }, { signal: leaving.signal });
    const refused = expect(call).rejects.toMatchObject({ code: Code.Canceled });
    await begun.promise;
    leaving.abort();
    await refused;
    await left.promise;
  });

  test("a deadline that passes takes the calls along that were made under it", async () => {
    const begun = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const product = await testServer(ProductService, {
      batchGetProducts(_, { signal }) {
        begun.resolve();
        signal.addEventListener("abort", () => left.resolve());
        return new Promise<never>(() => {});
      },
    });
    const clock = manualClock();
    const products = meshClient(ProductService, opened(product.endpoint, protocol, { clock }));
    const getOrder = async () => {
      await products.batchGetProducts({ productIds: ["p1"] });
      return {};
    };
    const order = await testServer(OrderService, { getOrder }, { clock });
    const orders = meshClient(OrderService, opened(order.endpoint, "grpc", { clock }));
    const call = orders.getOrder({ orderId: "o1" }, { timeoutMs: 20_000 });
    const refused = expect(call).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    await begun.promise;
    clock.advance(20_000);
    await refused;
    await left.promise;
  });

  test("the called service works in the caller's trace and for its request", async () => {
    const { orders, heard } = await chain(0);
    const headers = {
      traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`,
      "x-request-id": "request-of-a-person",
    };
    await orders.getOrder({ orderId: "o1" }, { headers });
    const [header] = heard;
    const trace = parseTraceparent(header?.get("traceparent"));
    expect(trace).toMatchObject({ traceId: "a".repeat(32), flags: "01" });
    // The order service's own piece of the trace, not its caller's.
    expect(trace?.spanId).not.toBe("b".repeat(16));
    expect(header?.get("x-request-id")).toBe("request-of-a-person");
  });

  test("the called service gets what the request takes along, and no other header of the caller's", async () => {
    const { orders, heard } = await chain(0);
    const carried = { tenant: "acme", baggage: "plan=gold" };
    await orders.getOrder({ orderId: "o1" }, { headers: { ...carried, "x-other": "own" } });
    await orders.getOrder({ orderId: "o1" });
    const names = ["tenant", "baggage", "x-other"];
    expect(heard.map((header) => names.map((name) => header.get(name)))).toEqual([
      ["acme", "plan=gold", null],
      [null, null, null],
    ]);
  });

  test("calls in the middle of a stream still belong to its work", async () => {
    const { orders, heard } = await chain(0);
    for await (const _ of orders.watchOrder({ orderId: "o1" }, { headers: { "x-request-id": "r-7" } }));
    expect(heard.map((header) => header.get("x-request-id"))).toEqual(["r-7"]);
  });

  test("what a called service answers does not pass through to the caller", async () => {
    const product = await testServer(ProductService, {
      batchGetProducts() {
        throw new ConnectError("the row of customer 7 is odd", Code.PermissionDenied, { "x-secret": "s" });
      },
      async *watchStock() {
        yield {};
        throw new ConnectError("the row of customer 7 is odd", Code.DataLoss);
      },
    });
    const products = meshClient(ProductService, opened(product.endpoint, protocol));
    const order = await testServer(OrderService, {
      async getOrder() {
        await products.batchGetProducts({ productIds: ["p1"] });
        return {};
      },
      async *watchOrder() {
        for await (const _ of products.watchStock({ productIds: ["p1"] })) yield {};
      },
    });
    const orders = meshClient(OrderService, opened(order.endpoint, "grpc"));
    const hidden = { code: Code.Internal, rawMessage: "internal error" };
    const error: ConnectError = await orders.getOrder({ orderId: "o1" }).catch((thrown) => thrown);
    expect(error).toMatchObject(hidden);
    expect(error.metadata.get("x-secret")).toBeNull();
    const watching = async () => {
      for await (const _ of orders.watchOrder({ orderId: "o1" }));
    };
    await expect(watching()).rejects.toMatchObject(hidden);
  });
});

test("outside of any work, a called service begins a trace and a request of its own", async () => {
  const works: ReturnType<typeof currentWork>[] = [];
  const server = await testServer(ProductService, {
    batchGetProducts() {
      works.push(currentWork());
      return {};
    },
  });
  const client = meshClient(ProductService, opened(server.endpoint, "grpc"));
  await client.batchGetProducts(product);
  await client.batchGetProducts(product);
  expect(works[0]?.trace.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(works[0]?.trace.traceId).not.toBe(works[1]?.trace.traceId);
  expect(works[0]?.requestId).not.toBe(works[1]?.requestId);
});

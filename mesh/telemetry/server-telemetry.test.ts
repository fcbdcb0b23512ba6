import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { childOf } from "../core/trace.ts";
import { runWork, type Work } from "../core/work.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingTelemetry } from "./recording.ts";
import { refusalTelemetry, serverTelemetry } from "./server-telemetry.ts";
import { noTelemetry } from "./telemetry.ts";

const product = { productId: "p1" };
const getProduct = "shop.product.v1.ProductService/GetProduct";
const sampled = () => childOf(undefined, () => true);

/** Serves in memory, as a piece of work. */
function served(layer: Interceptor, work: Partial<Work> = {}, answer: () => object = () => ({})) {
  const asWork: Interceptor = (next) => (request) =>
    runWork({ trace: sampled(), requestId: "r", deadlineMs: Number.POSITIVE_INFINITY, ...work }, () =>
      next(request),
    );
  return createRouterTransport(
    (router) => {
      router.service(ProductService, { getProduct: () => answer() });
      router.service(Health, { check: () => ({}) });
    },
    { router: { interceptors: [asWork, layer] } },
  );
}

test("a call is measured from its arrival to its answer, and so is the time that it still had", async () => {
  const clock = manualClock();
  const telemetry = recordingTelemetry({}, clock);
  const answer = () => {
    clock.advance(40);
    return {};
  };
  const work = { deadlineMs: clock.now() + 250 };
  await createClient(ProductService, served(serverTelemetry(telemetry), work, answer)).getProduct(product);
  const text = await telemetry.prometheus();
  expect(text).toMatch(/rpc_server_call_duration_sum\{[^}]*\} 0\.04\n/);
  expect(text).toContain(`mesh_deadline_remaining_at_ingress_sum{rpc_method="${getProduct}"} 0.25\n`);
  const [span] = await telemetry.spans();
  expect((span?.endMs ?? 0) - (span?.startMs ?? 0)).toBeCloseTo(40, 3);
  expect(span?.endMs).toBeCloseTo(clock.date().getTime(), 3);
});

test("a call without a deadline has no time left to record", async () => {
  const telemetry = recordingTelemetry();
  await createClient(ProductService, served(serverTelemetry(telemetry))).getProduct(product);
  expect(await telemetry.prometheus()).not.toContain("remaining_at_ingress");
});

test("calls are counted and measured by the names of gRPC too, those that run and those that were refused (A66)", async () => {
  const telemetry = recordingTelemetry();
  const running = Promise.withResolvers<object>();
  let answer: () => object = () => ({});
  const client = createClient(
    ProductService,
    served(serverTelemetry(telemetry), {}, () => answer()),
  );
  await client.getProduct(product);
  const error = new ConnectError("shed", Code.Unavailable);
  const header = () => undefined;
  refusalTelemetry(telemetry)({ method: ProductService.method.getProduct, header, error });
  refusalTelemetry(telemetry)({ header, error });
  const begun = Promise.withResolvers<void>();
  answer = () => {
    begun.resolve();
    return running.promise;
  };
  const call = client.getProduct(product);
  const count = async (name: string) =>
    (await telemetry.prometheus()).split("\n").filter((line) => line.startsWith(name));
  const started = `grpc_server_call_started_total{grpc_method="${getProduct}"} 3`;
  await begun.promise;
  expect(await count("grpc_server_call_started_total")).toContain(started);
  running.resolve({});
  await call;
  const done = "grpc_server_call_duration_count";
  expect((await count(done)).sort()).toEqual([
    `${done}{grpc_method="other",grpc_status="UNAVAILABLE"} 1`,
    `${done}{grpc_method="${getProduct}",grpc_status="OK"} 2`,
    `${done}{grpc_method="${getProduct}",grpc_status="UNAVAILABLE"} 1`,
  ]);
});

test("probes are measured, and leave no spans", async () => {
  const telemetry = recordingTelemetry();
  await createClient(Health, served(serverTelemetry(telemetry))).check({});
  expect(await telemetry.prometheus()).toContain('rpc_method="grpc.health.v1.Health/Check"');
  expect(await telemetry.spans()).toEqual([]);
});

test("the server's own name is told where it is known", async () => {
  const telemetry = recordingTelemetry();
  const layer = serverTelemetry(telemetry, { address: "product", port: 50_051 });
  await createClient(ProductService, served(layer)).getProduct(product);
  expect(await telemetry.prometheus()).toMatch(/server_address="product",server_port="50051"/);
});

describe("a call that is refused by its headers alone", () => {
  const header = (name: string) => (name === "content-type" ? "application/grpc+proto" : undefined);
  const error = new ConnectError("too much to do", Code.ResourceExhausted);
  const work = { trace: sampled(), requestId: "r", deadlineMs: Number.POSITIVE_INFINITY };

  test("is measured as any other, and has its span", async () => {
    const telemetry = recordingTelemetry();
    const refused = refusalTelemetry(telemetry);
    runWork(work, () => refused({ method: ProductService.method.getProduct, header, error }));
    expect(await telemetry.prometheus()).toMatch(
      /rpc_server_call_duration_count\{rpc_method="[\w./]+GetProduct",rpc_status_code="RESOURCE_EXHAUSTED",rpc_system_name="grpc"\} 1\n/,
    );
    expect(await telemetry.spans()).toMatchObject([{ name: getProduct, spanId: work.trace.spanId }]);
  });

  test("of a method that nobody knows is counted with all of those", async () => {
    const telemetry = recordingTelemetry();
    runWork(work, () => refusalTelemetry(telemetry)({ header, error }));
    expect(await telemetry.prometheus()).toContain('rpc_method="_OTHER"');
  });
});

test("what is off adds no layer, and is told without effect", () => {
  const next = async () => ({}) as never;
  expect(serverTelemetry(noTelemetry)(next)).toBe(next);
  refusalTelemetry(noTelemetry)({ header: () => undefined, error: new Error("no") });
});

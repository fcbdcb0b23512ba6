import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { runWork } from "../core/work.ts";
import type { CallRequest } from "./call-attributes.ts";
import { type ClientTelemetry, clientTelemetry } from "./client-telemetry.ts";
import { type RecordingTelemetry, recordingTelemetry } from "./recording.ts";
import { noTelemetry, type Telemetry } from "./telemetry.ts";

const product = { productId: "p1" };
const method = "shop.product.v1.ProductService/GetProduct";
const target = "static:///there";

/** A client whose policies are what the test makes of them, and whose server is in memory. */
function clientOf(
  telemetry: Telemetry,
  policy: (told: ClientTelemetry) => Interceptor = () => (next) => next,
  answer: () => object = () => ({}),
  options: Partial<Parameters<typeof clientTelemetry>[1]> = {},
) {
  const told = clientTelemetry(telemetry, { system: "grpc", target, ...options });
  const transport = createRouterTransport(
    (router) => router.service(ProductService, { getProduct: () => answer() }),
    { transport: { interceptors: [told.call, policy(told), told.attempt] } },
  );
  return createClient(ProductService, transport);
}

/** A policy that does something with each request, and then passes it on. */
const does =
  (act: (told: ClientTelemetry, request: CallRequest) => void) =>
  (told: ClientTelemetry): Interceptor =>
  (next) =>
  (request) => {
    act(told, request);
    return next(request);
  };

async function shown(telemetry: RecordingTelemetry, name: string): Promise<string[]> {
  const text = await telemetry.prometheus();
  return text.split("\n").filter((line) => line.startsWith(name) && !/_(bucket|sum)\{/.test(line));
}

describe("the attempts of a call", () => {
  test("are counted when it ends: retries, transparent retries, hedges and the time between", async () => {
    const telemetry = recordingTelemetry();
    const act = does((told, request) => {
      told.retried(request, "retry", 100);
      told.retried(request, "retry", 250);
      told.retried(request, "transparent", 0);
      told.hedged(request);
    });
    await clientOf(telemetry, act).getProduct(product);
    const labels = `{grpc_method="${method}",grpc_target="${target}"`;
    const text = await telemetry.prometheus();
    expect(text).toContain(`grpc_client_call_retries_sum${labels}} 2\n`);
    expect(text).toContain(`grpc_client_call_transparent_retries_sum${labels}} 1\n`);
    expect(text).toContain(`grpc_client_call_hedges_sum${labels}} 1\n`);
    expect(text).toContain(`grpc_client_call_retry_delay_sum${labels}} 0.35\n`);
  });

  test("are not, of a call that had one only", async () => {
    const telemetry = recordingTelemetry();
    await clientOf(telemetry).getProduct(product);
    expect(await telemetry.prometheus()).not.toMatch(/grpc_client_call_(?!duration)/);
  });

  test("are counted of a call that fails after all, too", async () => {
    const telemetry = recordingTelemetry();
    const fails = () => {
      throw new ConnectError("away", Code.Unavailable);
    };
    const client = clientOf(
      telemetry,
      does((told, request) => told.retried(request, "retry", 1)),
      fails,
    );
    await expect(client.getProduct(product)).rejects.toThrow("away");
    expect(await telemetry.prometheus()).toContain("grpc_client_call_retries_count");
  });
});

test("calls are measured by the names of gRPC too (A66)", async () => {
  const telemetry = recordingTelemetry();
  await clientOf(telemetry).getProduct(product);
  const fails = () => {
    throw new ConnectError("away", Code.Unavailable);
  };
  await expect(clientOf(telemetry, undefined, fails).getProduct(product)).rejects.toThrow("away");
  const of = (status: string) =>
    `grpc_client_call_duration_count{grpc_method="${method}",grpc_status="${status}",grpc_target="${target}"} 1`;
  expect(await shown(telemetry, "grpc_client_call_duration_count")).toEqual([of("OK"), of("UNAVAILABLE")]);
});

test("what policies do is counted, and noted in the span of the call", async () => {
  const telemetry = recordingTelemetry({ MESH_METRICS_BY_ENDPOINT: "true" });
  const act = does((told, request) => {
    told.retried(request, "retry", 20);
    told.suppressed(request, "BUDGET");
    told.hedged(request);
    told.hedgeWon(request);
    told.pushedBack(request, 200);
    told.pushedBack(request, undefined);
    told.breakerRejected(request);
    told.breakerChanged("e1", "CLOSED", "OPEN", "RATIO");
    told.bulkheadFull(request);
    told.degraded(request, "fallback");
    told.outOfTime();
  });
  await clientOf(telemetry, act, undefined, { endpointOf: () => "e1" }).getProduct(product);

  expect(await shown(telemetry, "mesh_")).toEqual([
    `mesh_retry_suppressed_total{reason="BUDGET",rpc_method="${method}",target="${target}"} 1`,
    `mesh_hedge_wins_total{rpc_method="${method}",target="${target}"} 1`,
    `mesh_breaker_rejected_total{endpoint="e1",target="${target}"} 1`,
    `mesh_breaker_transitions_total{endpoint="e1",from="CLOSED",reason="RATIO",target="${target}",to="OPEN"} 1`,
    `mesh_bulkhead_rejected_total{class="unary",target="${target}"} 1`,
    `mesh_degraded_total{kind="fallback",rpc_method="${method}"} 1`,
    `mesh_deadline_rejected_total{side="client",target="${target}"} 1`,
  ]);
  const call = (await telemetry.spans()).at(-1);
  expect(call?.events).toEqual([
    { name: "mesh.retry", attributes: { how: "retry", "mesh.retry.delay_ms": 20 } },
    { name: "mesh.retry.suppressed", attributes: { reason: "BUDGET" } },
    { name: "mesh.hedge", attributes: {} },
    { name: "mesh.pushback", attributes: { "mesh.pushback_ms": 200, "mesh.endpoint": "e1" } },
    { name: "mesh.pushback", attributes: { "mesh.endpoint": "e1" } },
    { name: "mesh.breaker.rejected", attributes: { "mesh.endpoint": "e1" } },
    { name: "mesh.bulkhead.rejected", attributes: {} },
    { name: "mesh.degraded", attributes: { kind: "fallback" } },
  ]);
});

test("what there is to say of an attempt is asked when it has ended", async () => {
  const telemetry = recordingTelemetry();
  const asked: number[] = [];
  const attributesOf = (_: CallRequest, end: { code: number }) => {
    asked.push(end.code);
    return { "mesh.attempt": 1, "mesh.endpoint": "e1" };
  };
  await clientOf(telemetry, undefined, undefined, { attributesOf }).getProduct(product);
  expect(asked).toEqual([0, 0]);
  expect((await telemetry.spans())[0]?.attributes).toMatchObject({
    "mesh.attempt": 1,
    "mesh.endpoint": "e1",
  });
});

test("a call does not fail because what there is to say of it cannot be said", async () => {
  const telemetry = recordingTelemetry();
  const attributesOf = () => {
    throw new Error("a bug");
  };
  await clientOf(telemetry, undefined, undefined, { attributesOf }).getProduct(product);
  expect((await telemetry.spans()).map((span) => span.attributes["rpc.status_code"])).toEqual(["OK", "OK"]);
});

test("a policy that throws something else than a ConnectError is told by the name of that", async () => {
  const telemetry = recordingTelemetry();
  const breaks = () => (): never => {
    throw new TypeError("a bug");
  };
  await expect(clientOf(telemetry, () => breaks).getProduct(product)).rejects.toThrow("a bug");
  const [line] = await shown(telemetry, "rpc_client_call_duration_count");
  expect(line).toMatch(/error_type="TypeError".*rpc_status_code="UNKNOWN"/);
});

describe("telemetry that is off", () => {
  test("adds no layer around the call, and is told without effect", async () => {
    const told = clientTelemetry(noTelemetry, { system: "grpc", target });
    const next = async () => ({}) as never;
    expect(told.call(next)).toBe(next);
    const act = does((each, request) => {
      each.retried(request, "retry", 1);
      each.suppressed(request, "BUDGET");
      each.degraded(request, "stale");
      each.outOfTime(request);
    });
    await clientOf(noTelemetry, act).getProduct(product);
    expect(await noTelemetry.prometheus()).toBe("");
  });
});

test("a call within work that is not sampled has no ids of its own to make", async () => {
  const telemetry = recordingTelemetry();
  const trace = { traceId: "a".repeat(32), spanId: "b".repeat(16), flags: "00" };
  const sent: (string | null)[] = [];
  const hears = (): Interceptor => (next) => (request) =>
    next(request).finally(() => sent.push(request.header.get("traceparent")));
  const work = { trace, requestId: "r", deadlineMs: Number.POSITIVE_INFINITY };
  await runWork(work, () => clientOf(telemetry, hears).getProduct(product));
  expect(sent).toEqual([`00-${trace.traceId}-${trace.spanId}-00`]);
  expect(await telemetry.spans()).toEqual([]);
});

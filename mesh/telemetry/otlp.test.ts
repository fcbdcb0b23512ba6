import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { type Env, readConfig } from "../core/config.ts";
import { childOf } from "../core/trace.ts";
import { atEnd } from "../testing/at-end.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { until } from "../testing/until.ts";
import { openTelemetry, type TelemetryOptions } from "./open-telemetry.ts";
import { telemetrySettings } from "./settings.ts";
import type { Telemetry } from "./telemetry.ts";

interface Post {
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A collector that answers with a status, or never. */
async function collector(status: () => number | undefined = () => 200) {
  const posts: Post[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    posts.push({ path: request.url, headers: request.headers, body: Buffer.concat(chunks) });
    const code = status();
    if (code !== undefined) response.writeHead(code).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { posts, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** Telemetry whose end waits for as long as it takes, unless a test moves its clock. */
function open(env: Env, options: Partial<TelemetryOptions> = {}): Telemetry {
  const service = { service: "order", instance: "1", clock: manualClock() };
  return openTelemetry(readConfig(telemetrySettings, env), { ...service, ...options });
}

function recordSpan(telemetry: Telemetry, name = "a.B/C") {
  const trace = { ...childOf(undefined, () => true), state: "vendor=a1" };
  const span = telemetry.startSpan?.({ trace, parent: undefined, name, kind: "client", startedMs: 0 });
  span?.end(1, { "mesh.attempt": 2 });
  return trace;
}

test("spans and metrics go to a collector, each to its own path", async () => {
  const { posts, url } = await collector();
  const telemetry = open({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${url}/`,
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_HEADERS: "x-team=mesh,x-kind=both",
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: "x-kind=spans",
  });
  const trace = recordSpan(telemetry, "span-of-this-test");
  telemetry.count("mesh.hedge.wins", { target: "target-of-this-test" });
  telemetry.record("grpc.client.attempt.duration", 0.1, { "grpc.method": "m" });
  telemetry.gauge("mesh.server.limit", () => [{ value: 8, attributes: {} }]);
  await telemetry.close();

  const at = (path: string) => posts.find((post) => post.path === path);
  const [spans, metrics] = [at("/v1/traces"), at("/v1/metrics")];
  expect(posts).toHaveLength(2);
  expect(spans).toMatchObject({
    headers: { "content-type": "application/x-protobuf", "x-team": "mesh", "x-kind": "spans" },
  });
  for (const text of ["span-of-this-test", "order", "mesh.attempt", "vendor=a1"]) {
    expect(spans?.body.includes(text)).toBe(true);
  }
  expect(spans?.body.includes(Buffer.from(trace.traceId, "hex"))).toBe(true);
  expect(spans?.body.includes(Buffer.from(trace.spanId, "hex"))).toBe(true);
  expect(metrics).toMatchObject({ headers: { "x-kind": "both" } });
  const sent = [
    "mesh.hedge.wins",
    "target-of-this-test",
    "grpc.client.attempt.duration",
    "mesh.server.limit",
  ];
  for (const text of sent) expect(metrics?.body.includes(text)).toBe(true);
});

test("an endpoint of its own is taken as it is", async () => {
  const { posts, url } = await collector();
  const telemetry = open({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/spans/here`,
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${url}/metrics/there`,
    OTEL_METRICS_EXPORTER: "otlp",
  });
  recordSpan(telemetry);
  telemetry.count("mesh.hedge.wins", {});
  await telemetry.close();
  expect(posts.map(({ path }) => path).sort()).toEqual(["/metrics/there", "/spans/here"]);
});

test("metrics that are sent only are not shown, and those that are both, are", async () => {
  const { url } = await collector();
  const shown = async (exporters: string) => {
    const telemetry = open({ OTEL_METRICS_EXPORTER: exporters, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: url });
    telemetry.count("mesh.hedge.wins", {});
    const text = await telemetry.prometheus();
    await telemetry.close();
    return text.includes("mesh_hedge_wins_total 1");
  };
  expect(await shown("otlp")).toBe(false);
  expect(await shown("prometheus,otlp")).toBe(true);
});

test("metrics are sent again and again, and go on counting", async () => {
  const { posts, url } = await collector();
  const telemetry = open({
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: url,
    OTEL_METRIC_EXPORT_INTERVAL: "5",
  });
  telemetry.count("mesh.hedge.wins", {});
  await until(() => posts.length >= 3);
  await telemetry.close();
});

test("a trace that is not sampled sends nothing, and nothing to send sends nothing", async () => {
  const { posts, url } = await collector();
  const telemetry = open({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_METRICS_EXPORTER: "otlp" });
  const trace = childOf(undefined);
  telemetry.startSpan?.({ trace, parent: undefined, name: "n", kind: "client", startedMs: 0 }).end(1, {});
  await telemetry.close();
  expect(posts).toEqual([]);
});

test("the end does not wait for a collector that takes the spans and never answers", async () => {
  const { posts, url } = await collector(() => undefined);
  const clock = manualClock();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_METRICS_EXPORTER: "otlp" };
  const telemetry = open(env, { clock });
  recordSpan(telemetry);
  telemetry.count("mesh.hedge.wins", {});
  const closed = telemetry.close();
  await until(() => posts.length === 2);
  await clock.whenSleeping(1);
  clock.advance(2_000);
  await closed;
});

test("nor for one that is not there", async () => {
  const clock = manualClock();
  // A port that nobody listens on.
  const telemetry = open({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" }, { clock });
  recordSpan(telemetry);
  const closed = telemetry.close();
  await clock.whenSleeping(1);
  clock.advance(2_000);
  await closed;
});

test("the log says once that a collector fails, and once that it works again", async () => {
  let status = 400;
  const { posts, url } = await collector(() => status);
  const { log, lines } = recordingLog();
  const env = {
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: url,
    OTEL_METRIC_EXPORT_INTERVAL: "5",
  };
  const telemetry = open(env, { log });
  telemetry.count("mesh.hedge.wins", {});
  await until(() => posts.length >= 3);
  status = 200;
  await until(() => lines.length >= 2);
  const before = posts.length;
  await until(() => posts.length >= before + 2);
  await telemetry.close();
  expect(lines.map(({ msg }) => msg)).toEqual([
    "the collector does not take metrics; they are lost",
    "the collector takes metrics again",
  ]);
});

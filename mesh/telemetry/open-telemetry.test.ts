import { describe, expect, test } from "vitest";
import { type Env, readConfig } from "../core/config.ts";
import { manualClock } from "../testing/clock.ts";
import { recordingLog } from "../testing/log.ts";
import { openTelemetry, type TelemetryOptions } from "./open-telemetry.ts";
import { telemetrySettings } from "./settings.ts";
import { noTelemetry } from "./telemetry.ts";

const open = (env: Env = {}, options: Partial<TelemetryOptions> = {}) =>
  openTelemetry(readConfig(telemetrySettings, env), { service: "order", instance: "7", ...options });

const call = { "rpc.system.name": "grpc", "rpc.method": "a.B/C", "rpc.status_code": "OK" };

describe("the text of /metrics", () => {
  test("has every kind of instrument, under its name, with its attributes", async () => {
    const telemetry = open();
    telemetry.record("rpc.server.call.duration", 0.03, call);
    telemetry.record("rpc.server.call.duration", 0.3, call);
    telemetry.count("mesh.server.shed", { class: "SHEDDABLE", reason: "QUEUE_FULL" }, 2);
    telemetry.gauge("mesh.server.inflight", () => [{ value: 5, attributes: {} }]);
    const text = await telemetry.prometheus();
    const labels = 'rpc_method="a.B/C",rpc_status_code="OK",rpc_system_name="grpc"';
    expect(text.split("\n")).toEqual(
      expect.arrayContaining([
        "# HELP rpc_server_call_duration Calls answered.",
        "# TYPE rpc_server_call_duration histogram",
        `rpc_server_call_duration_count{${labels}} 2`,
        `rpc_server_call_duration_sum{${labels}} 0.32999999999999996`,
        `rpc_server_call_duration_bucket{${labels},le="0.025"} 0`,
        `rpc_server_call_duration_bucket{${labels},le="0.05"} 1`,
        `rpc_server_call_duration_bucket{${labels},le="+Inf"} 2`,
        "# TYPE mesh_server_shed_total counter",
        'mesh_server_shed_total{class="SHEDDABLE",reason="QUEUE_FULL"} 2',
        "# TYPE mesh_server_inflight gauge",
        "mesh_server_inflight 5",
      ]),
    );
  });

  test("names the service and its instance, as the settings say first", async () => {
    expect(await open().prometheus()).toMatch(
      /target_info\{.*service_name="order".*service_instance_id="7".*\} 1\n/,
    );
    const text = await open({
      OTEL_SERVICE_NAME: "shop-order",
      OTEL_RESOURCE_ATTRIBUTES: "service.name=not-this,service.instance.id=pod-1,team=mesh",
    }).prometheus();
    expect(text).toMatch(/service_name="shop-order".*service_instance_id="pod-1".*team="mesh"/);
  });

  test("counts on from reading to reading", async () => {
    const telemetry = open();
    for (const total of [1, 2, 3]) {
      telemetry.count("mesh.hedge.wins", { target: "t" });
      expect(await telemetry.prometheus()).toContain(`mesh_hedge_wins_total{target="t"} ${total}\n`);
    }
  });

  test("has what a gauge that fails leaves, and the log has the rest", async () => {
    const { log, lines } = recordingLog();
    const telemetry = open({}, { log });
    telemetry.gauge("mesh.server.limit", () => {
      throw new Error("broken gauge");
    });
    telemetry.count("mesh.hedge.wins", { target: "t" });
    expect(await telemetry.prometheus()).toContain("mesh_hedge_wins_total");
    expect(lines).toMatchObject([{ msg: "a gauge failed", err: { message: "broken gauge" } }]);
  });

  test("tells endpoints apart if the settings ask for it", async () => {
    for (const [env, label] of [
      [{}, 'mesh_breaker_rejected_total{target="t"}'],
      [{ MESH_METRICS_BY_ENDPOINT: "true" }, 'mesh_breaker_rejected_total{endpoint="e1",target="t"}'],
    ] as const) {
      const telemetry = open(env);
      telemetry.count("mesh.breaker.rejected", { target: "t", endpoint: "e1" });
      expect(await telemetry.prometheus()).toContain(`${label} 1`);
    }
  });
});

test("a code is written under the standard's name, and under both where the settings ask for it", () => {
  expect(open().codeNames).toEqual(["rpc.status_code"]);
  expect(open({ OTEL_SEMCONV_STABILITY_OPT_IN: "rpc" }).codeNames).toEqual(["rpc.status_code"]);
  expect(open({ OTEL_SEMCONV_STABILITY_OPT_IN: "http,rpc/dup" }).codeNames).toEqual([
    "rpc.status_code",
    "rpc.response.status_code",
  ]);
});

test("it is off if the settings say so, or want neither metrics nor spans", () => {
  expect(open({ OTEL_SDK_DISABLED: "true", OTEL_TRACES_EXPORTER: "otlp" })).toBe(noTelemetry);
  expect(open({ OTEL_METRICS_EXPORTER: "none" })).toBe(noTelemetry);
});

test("spans are recorded once there is somewhere to send them, or the settings say so", async () => {
  const spanExporter = { export: () => {}, shutdown: async () => {} };
  const records = (env: Env) => open(env, { spanExporter }).startSpan !== undefined;
  const OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:4318";
  expect(records({})).toBe(false);
  expect(records({ OTEL_EXPORTER_OTLP_ENDPOINT })).toBe(true);
  expect(records({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: OTEL_EXPORTER_OTLP_ENDPOINT })).toBe(true);
  expect(records({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: OTEL_EXPORTER_OTLP_ENDPOINT })).toBe(false);
  expect(records({ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: "none" })).toBe(false);
  expect(records({ OTEL_TRACES_EXPORTER: "otlp" })).toBe(true);
});

test("without spans nothing that begins here is sampled; with them all of it, unless the settings say otherwise", () => {
  const id = "a".repeat(32);
  expect(open().sampler(id, undefined)).toBe(false);
  const spanExporter = { export: () => {}, shutdown: async () => {} };
  expect(open({ OTEL_TRACES_EXPORTER: "otlp" }, { spanExporter }).sampler(id, undefined)).toBe(true);
});

test("spans alone can be wanted: then nothing is measured", async () => {
  const spanExporter = { export: () => {}, shutdown: async () => {} };
  const telemetry = open({ OTEL_TRACES_EXPORTER: "otlp", OTEL_METRICS_EXPORTER: "none" }, { spanExporter });
  telemetry.count("mesh.hedge.wins", { target: "t" });
  telemetry.record("rpc.server.call.duration", 1, call);
  telemetry.counter("mesh.hedge.wins", {}).add();
  telemetry.histogram("rpc.server.call.duration", call).record(1);
  telemetry.gauge("mesh.server.limit", () => [])();
  expect(telemetry.isOn).toBe(true);
  expect(await telemetry.prometheus()).toBe("");
});

describe("the end", () => {
  test("waits for what is sent, two seconds at most, and no longer if all is sent", async () => {
    const clock = manualClock();
    const shutdown = Promise.withResolvers<void>();
    const spanExporter = { export: () => {}, shutdown: () => shutdown.promise };
    const telemetry = open({ OTEL_TRACES_EXPORTER: "otlp" }, { spanExporter, clock });
    let isClosed = false;
    const closed = telemetry.close().then(() => {
      isClosed = true;
    });
    await clock.whenSleeping(1);
    clock.advance(1_999);
    await new Promise(setImmediate);
    expect(isClosed).toBe(false);
    clock.advance(1);
    await closed;
    shutdown.resolve();
  });

  test("never fails, and may be asked for twice", async () => {
    const spanExporter = {
      export: () => {},
      async shutdown() {
        throw new Error("broken");
      },
    };
    const telemetry = open({ OTEL_TRACES_EXPORTER: "otlp" }, { spanExporter });
    await telemetry.close();
    await telemetry.close();
  });
});

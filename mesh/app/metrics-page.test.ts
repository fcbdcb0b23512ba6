import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { recordingTelemetry } from "../telemetry/recording.ts";
import { serverTelemetry } from "../telemetry/server-telemetry.ts";
import { noTelemetry, type Telemetry } from "../telemetry/telemetry.ts";
import { manualClock } from "../testing/clock.ts";
import { testServer } from "../testing/server.ts";
import { WIRE_PROTOCOLS } from "../testing/wire-protocols.ts";
import { measureServer, refusalCounts } from "./measure-server.ts";
import { metricsPage } from "./metrics-page.ts";

/** A server that is measured, and shows it. */
async function measured(telemetry: Telemetry, loopDelayMs = 0) {
  const clock = manualClock();
  const { onOverdue, admission } = refusalCounts(telemetry);
  const server = await testServer(
    ProductService,
    { getProduct: () => ({}) },
    {
      clock,
      http: (request) => metricsPage(telemetry, request),
      telemetry: serverTelemetry(telemetry),
      admission: { ...admission, loopDelayMs: () => loopDelayMs },
      ...(onOverdue && { onOverdue }),
    },
  );
  measureServer(telemetry, server);
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  return { server, client: createClient(ProductService, protocol.open(server)) };
}

test("/metrics shows the calls of a server and what it is doing, as Prometheus reads it", async () => {
  const { server, client } = await measured(recordingTelemetry());
  await client.getProduct({ productId: "p1" });
  const response = await fetch(`${server.url}/metrics`);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  const call = 'rpc_method="shop.product.v1.ProductService/GetProduct"';
  expect(text).toMatch(new RegExp(`rpc_server_call_duration_count\\{[^}]*${call}[^}]*\\} 1\\n`));
  expect(text).toContain('mesh_server_limit{class="unary"} 20\n');
  expect(text).toContain('mesh_server_inflight{class="unary"} 0\n');
  expect(text).toContain("mesh_server_abandoned_handlers 0\n");
});

test("what a server refuses is counted: because of load, and because nobody waits any more", async () => {
  const { server, client } = await measured(recordingTelemetry(), 200);
  const headers = { "mesh-criticality": "SHEDDABLE" };
  await client.getProduct({ productId: "p1" }, { headers }).catch(() => {});
  await fetch(`${server.url}/shop.product.v1.ProductService/GetProduct`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": "0" },
    body: "{}",
  });
  const text = await (await fetch(`${server.url}/metrics`)).text();
  expect(text).toContain('mesh_server_shed_total{class="SHEDDABLE",reason="loop_delay"} 1\n');
  expect(text).toMatch(/mesh_deadline_rejected_total\{[^}]*side="server"\} 1\n/);
});

test("with telemetry off there is no such page", async () => {
  const { server } = await measured(noTelemetry);
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
});

import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import type { MeshServer, ServerState } from "../rpc/server/server.ts";
import { recordingTelemetry } from "../telemetry/recording.ts";
import { measureServer, refusalCounts } from "./measure-server.ts";

/** The lines of a page that are about a server. */
async function linesOf(telemetry: ReturnType<typeof recordingTelemetry>): Promise<string[]> {
  const lines = (await telemetry.prometheus()).split("\n");
  return lines.filter((line) => line.startsWith("mesh_server_") || line.startsWith("mesh_deadline_"));
}

test("the gauges show what the server is doing when they are read", async () => {
  const telemetry = recordingTelemetry();
  let state: ServerState = {
    ...{ limit: 20, inflight: 0, queued: 0, queueAgeMs: 0, sheddingForMs: 0 },
    ...{ streams: 0, abandonedHandlers: 0, connections: 0 },
  };
  measureServer(telemetry, { state: () => state } as MeshServer);
  state = { ...state, limit: 12.5, inflight: 3, streams: 4, queueAgeMs: 25, abandonedHandlers: 2 };
  expect(await linesOf(telemetry)).toEqual([
    'mesh_server_limit{class="unary"} 12.5',
    'mesh_server_inflight{class="unary"} 3',
    'mesh_server_inflight{class="stream"} 4',
    'mesh_server_queue_age{class="unary"} 0.025',
    "mesh_server_abandoned_handlers 2",
  ]);
});

test("connections that were cut off are counted by their guard", async () => {
  const telemetry = recordingTelemetry();
  const { onGuard } = refusalCounts(telemetry);
  for (const guard of ["RESETS", "SLOW", "RESETS"]) onGuard?.(guard);
  const lines = (await telemetry.prometheus()).split("\n").filter((line) => line.startsWith("mesh_http2_"));
  expect(lines).toEqual([
    'mesh_http2_cut_off_total{guard="RESETS"} 2',
    'mesh_http2_cut_off_total{guard="SLOW"} 1',
  ]);
});

test("refusals are counted by what they mattered, by why, and by method", async () => {
  const telemetry = recordingTelemetry();
  const { admission, onOverdue } = refusalCounts(telemetry);
  admission?.onShed?.("SHEDDABLE", "full");
  admission?.onShed?.("SHEDDABLE", "full");
  admission?.onShed?.("CRITICAL", "waited");
  onOverdue?.(ProductService.method.getProduct);
  expect(await linesOf(telemetry)).toEqual([
    'mesh_server_shed_total{class="SHEDDABLE",reason="full"} 2',
    'mesh_server_shed_total{class="CRITICAL",reason="waited"} 1',
    'mesh_deadline_rejected_total{rpc_method="shop.product.v1.ProductService/GetProduct",side="server"} 1',
  ]);
});

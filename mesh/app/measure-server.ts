import type { MeshServer, ServerOptions } from "../rpc/server/server.ts";
import { methodName } from "../telemetry/call-attributes.ts";
import type { Telemetry } from "../telemetry/telemetry.ts";

/** Counts what a server refuses: calls because of load, and because nobody waits for them any more; peers that go too far. */
export function refusalCounts(
  telemetry: Telemetry,
): Pick<ServerOptions, "admission" | "onOverdue" | "onGuard"> {
  return {
    admission: {
      onShed: (criticality, reason) => telemetry.count("mesh.server.shed", { class: criticality, reason }),
    },
    onOverdue: (method) =>
      telemetry.count("mesh.deadline.rejected", { "rpc.method": methodName(method), side: "server" }),
    onGuard: (guard) => telemetry.count("mesh.http2.cut_off", { guard }),
  };
}

/** Shows what a server is doing in the gauges of the telemetry. */
export function measureServer(telemetry: Telemetry, server: MeshServer): void {
  const unary = { class: "unary" };
  const streams = { class: "stream" };
  telemetry.gauge("mesh.server.limit", () => [{ value: server.state().limit, attributes: unary }]);
  telemetry.gauge("mesh.server.inflight", () => {
    const state = server.state();
    return [
      { value: state.inflight, attributes: unary },
      { value: state.streams, attributes: streams },
    ];
  });
  telemetry.gauge("mesh.server.queue.age", () => [
    { value: server.state().queueAgeMs / 1_000, attributes: unary },
  ]);
  telemetry.gauge("mesh.server.abandoned_handlers", () => [
    { value: server.state().abandonedHandlers, attributes: {} },
  ]);
}

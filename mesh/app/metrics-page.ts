import { PROMETHEUS_TYPE, type Telemetry } from "../telemetry/telemetry.ts";

/** The page `/metrics`, for Prometheus to read; undefined for any other page, and if metrics are not shown. */
export function metricsPage(telemetry: Telemetry, request: Request): Promise<Response> | undefined {
  if (!telemetry.isOn || new URL(request.url).pathname !== "/metrics") return undefined;
  return telemetry
    .prometheus()
    .then((text) => new Response(text, { headers: { "content-type": PROMETHEUS_TYPE } }));
}

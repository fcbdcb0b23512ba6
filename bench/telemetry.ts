import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { type ContextValues, createContextValues, type Interceptor } from "@connectrpc/connect";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { readConfig } from "../mesh/core/config.ts";
import { childOf } from "../mesh/core/trace.ts";
import { runWork, type Work } from "../mesh/core/work.ts";
import { attemptTelemetry } from "../mesh/telemetry/attempt-telemetry.ts";
import { callTelemetry } from "../mesh/telemetry/call-telemetry.ts";
import { openTelemetry } from "../mesh/telemetry/open-telemetry.ts";
import { serverTelemetry } from "../mesh/telemetry/server-telemetry.ts";
import { telemetrySettings } from "../mesh/telemetry/settings.ts";
import { noTelemetry, type Telemetry } from "../mesh/telemetry/telemetry.ts";

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "200000" },
    rounds: { type: "string", default: "5" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures what telemetry adds to a call: the interceptors alone, over a call that does nothing.

  --calls N    calls of a round (200,000)
  --rounds N   rounds, of which the best counts (5)`);
  process.exit(0);
}
const calls = Number(values.calls);
const rounds = Number(values.rounds);

type Next = ReturnType<Interceptor>;
type Request = Parameters<Next>[0];
const method = ProductService.method.getProduct;
const response = { stream: false } as Awaited<ReturnType<Next>>;
const nothing: Next = async () => response;

/** A call as the transports make one, with nothing to send. */
function request(contextValues: ContextValues): Request {
  const header = new Headers({ "content-type": "application/grpc" });
  return { stream: false, service: ProductService, method, header, contextValues } as unknown as Request;
}

function stack(interceptors: readonly Interceptor[]): Next {
  return interceptors.reduceRight((next, interceptor) => interceptor(next), nothing);
}

const target = {
  system: "grpc",
  target: "static:///product:50051",
  address: "product",
  port: 50_051,
} as const;
const client = (telemetry: Telemetry) =>
  stack([callTelemetry(telemetry, target), attemptTelemetry(telemetry, target)]);
const server = (telemetry: Telemetry) => stack([serverTelemetry(telemetry)]);

function work(flags: string): Work {
  return { trace: { ...childOf(undefined), flags }, requestId: "r1", deadlineMs: performance.now() + 1e9 };
}

/** Nanoseconds of a call, in the best round. */
async function nsPerCall(call: Next, within: Work): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= rounds; round++) {
    const ns = await runWork(within, async () => {
      const started = process.hrtime.bigint();
      for (let i = 0; i < calls; i++) await call(request(createContextValues()));
      return Number(process.hrtime.bigint() - started) / calls;
    });
    // The first is for the compiler.
    if (round > 0) best = Math.min(best, ns);
  }
  return best;
}

const options = { service: "bench", instance: "1", spanExporter: dropsAll() };
const metricsOnly = openTelemetry(readConfig(telemetrySettings, {}), options);
const withSpans = openTelemetry(readConfig(telemetrySettings, { OTEL_TRACES_EXPORTER: "otlp" }), options);

function dropsAll() {
  return {
    export: (_: unknown, done: (result: { code: number }) => void) => done({ code: 0 }),
    shutdown: async () => {},
  };
}

console.log(
  `${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}; ns per call, best of ${rounds} rounds`,
);
const table: Record<string, Record<string, number>> = {};
for (const [side, of] of Object.entries({ client, server })) {
  const bare = await nsPerCall(stack([]), work("00"));
  const measure = async (telemetry: Telemetry, flags: string) =>
    Math.round((await nsPerCall(of(telemetry), work(flags))) - bare);
  table[side] = {
    bare: Math.round(bare),
    "+ off": await measure(noTelemetry, "00"),
    "+ metrics": await measure(metricsOnly, "00"),
    "+ metrics, spans unsampled": await measure(withSpans, "00"),
    "+ metrics, spans sampled": await measure(withSpans, "01"),
  };
}
console.table(table);
await Promise.all([metricsOnly.close(), withSpans.close()]);

import { once } from "node:events";
import type { HandlerContext } from "@connectrpc/connect";
import { silentLog } from "../../mesh/core/log.ts";
import { startServer } from "../../mesh/rpc/server/server.ts";
import type { ToyRequest } from "../../mesh/testing/toy-calls.ts";
import type { Asked, Figures, ServerProcessOptions } from "./attacked-server.ts";
import { service } from "./contract.ts";

// A server in a process of its own, so that its memory is its own, which is attacked. It prints its port, and says what it
// holds to whoever asks its parent's channel.
const options: ServerProcessOptions = JSON.parse(process.argv[2] ?? "{}");
const cutOffs: string[] = [];
let said = 0;

async function* watch({ n }: ToyRequest, { signal }: HandlerContext) {
  while (!signal.aborted) {
    said++;
    yield { text: "x".repeat(n) };
  }
}

async function* talk(requests: AsyncIterable<ToyRequest>) {
  for await (const { n } of requests) {
    said++;
    yield { text: "x".repeat(n) };
  }
}

const server = await startServer({
  host: "127.0.0.1",
  port: 0,
  services: [service],
  routes: (router) =>
    router.service(service, {
      ask: ({ n }: ToyRequest) => ({ text: "x".repeat(n) }),
      watch,
      async ignore(_: AsyncIterable<ToyRequest>, { signal }: HandlerContext) {
        if (!signal.aborted) await once(signal, "abort");
        return {};
      },
      talk,
    } as never),
  log: silentLog,
  // How busy the machine is that runs the tests must not decide what they see.
  admission: { loopDelayMs: () => 0 },
  onGuard: (guard) => void cutOffs.push(guard),
  connectionLimits: options,
});

process.on("message", ({ ask }: Asked) => {
  // The first leaves what had finalizers.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const figures: Figures = { ask, heldBytes: heapUsed + external, rss, said, cutOffs, state: server.state() };
  process.send?.(figures);
});
process.once("disconnect", () => process.exit());
process.stdout.write(`${server.port}\n`);

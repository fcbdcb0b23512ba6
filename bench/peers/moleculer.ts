import { type BrokerOptions, type Context, ServiceBroker } from "moleculer";
import { TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

/** Its protections, which are off by default, on; the bulkhead as large as ours. */
function optionsFor(nodeID: string, port: number): BrokerOptions {
  return {
    nodeID,
    transporter: { type: "NATS", options: { url: `nats://${HOST}:${port}` } },
    logger: false,
    requestTimeout: TIMEOUT_MS,
    retryPolicy: { enabled: true, retries: 2 },
    circuitBreaker: { enabled: true },
    bulkhead: { enabled: true, concurrency: 256 },
  };
}

/** A service of Moleculer; the port is that of NATS. */
export async function startServer(port: number): Promise<void> {
  const broker = new ServiceBroker(optionsFor("server", port));
  broker.createService({
    name: "bench",
    actions: {
      echo: { params: { text: "string" }, handler: ({ params }: Context<{ text: string }>) => params },
    },
  });
  await broker.start();
}

/** A node of Moleculer that calls the other; the port is that of NATS. */
export async function openClient(port: number): Promise<Call> {
  const broker = new ServiceBroker(optionsFor("client", port));
  await broker.start();
  await broker.waitForServices("bench");
  return async (text) => {
    const answer = await broker.call<{ text: string }, { text: string }>(
      "bench.echo",
      { text },
      { timeout: TIMEOUT_MS },
    );
    return answer.text;
  };
}

import { type BrokerOptions, type Context, ServiceBroker } from "moleculer";
import { type Item, TIMEOUT_MS } from "../../data-plane/contract.ts";
import { type Client, HOST, type Peer } from "../../data-plane/peer.ts";

interface Json {
  readonly id: string;
  readonly n: number;
  readonly tags: readonly string[];
}

/** Two nodes of Moleculer, with what else they are to do; the port is that of NATS. */
export function moleculerWith(protections: BrokerOptions): Peer {
  const brokerOf = (nodeID: string, port: number) =>
    new ServiceBroker({
      nodeID,
      transporter: { type: "NATS", options: { url: `nats://${HOST}:${port}` } },
      logger: false,
      requestTimeout: TIMEOUT_MS,
      ...protections,
    });
  return {
    async startServer(port) {
      const broker = brokerOf("server", port);
      broker.createService({
        name: "bench",
        actions: { echo: ({ params: { id, n, tags } }: Context<Json>) => ({ id, n, tags }) },
      });
      await broker.start();
    },
    async openClient(port): Promise<Client> {
      const broker = brokerOf("client", port);
      await broker.start();
      await broker.waitForServices("bench");
      return {
        async echo({ id, n, tags }: Item) {
          const asked = { id, n: Number(n), tags };
          const answer = await broker.call<Json, Json>("bench.echo", asked, { timeout: TIMEOUT_MS });
          return { ...answer, n: BigInt(answer.n) };
        },
      };
    },
  };
}

/** Its protections are off by default, but for the timeout. */
export const { startServer, openClient } = moleculerWith({});

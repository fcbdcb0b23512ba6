import { connect, createServer, type Socket } from "node:net";
import type { Endpoint } from "../discovery/target.ts";
import { atEnd } from "./at-end.ts";

/** How a connection ends whose other side dies: with what it had to say, or in the middle of it. */
export type Death = "FIN" | "RST";

/** Stands between a client and a server, and breaks what goes through it. */
export interface TcpProxy {
  readonly endpoint: Endpoint;
  /** The number of connections that stand. */
  connections(): number;
  /** Breaks all connections, as the death of the server's process would. */
  cut(how: Death): void;
  /** Resolves when no connection stands any more. */
  whenEmpty(): Promise<void>;
}

const HOST = "127.0.0.1";

/**
 * Passes each connection on to a server, or to the one that `to` chooses for it; without one it ends at once. All that
 * goes through takes `delayMs` each way. The proxy ends with the test, or the test file.
 */
export async function tcpProxy(
  to: Endpoint | (() => Endpoint | undefined),
  { delayMs = 0 }: { readonly delayMs?: number } = {},
): Promise<TcpProxy> {
  const clients = new Set<Socket>();
  let empty: () => void = () => {};
  const server = createServer({ noDelay: true }, (client) => {
    const chosen = typeof to === "function" ? to() : to;
    if (!chosen) return void client.destroy();
    const upstream = connect({ ...chosen, noDelay: true });
    clients.add(client);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on("error", () => other.destroy());
      if (delayMs > 0) one.on("data", (chunk) => setTimeout(() => other.write(chunk), delayMs));
      else one.pipe(other);
    }
    // What it still says is for nobody, and unread it would keep the connection.
    upstream.once("close", () => client.destroySoon());
    client.once("close", () => {
      upstream.destroy();
      clients.delete(client);
      if (clients.size === 0) empty();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const cut = (how: Death) => {
    for (const client of clients) {
      if (how === "RST") client.resetAndDestroy();
      else client.destroy();
    }
  };
  atEnd(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    cut("FIN");
    await closed;
  });
  return {
    endpoint: { host: HOST, port: (server.address() as { port: number }).port },
    connections: () => clients.size,
    cut,
    whenEmpty() {
      if (clients.size === 0) return Promise.resolve();
      return new Promise((resolve) => {
        empty = resolve;
      });
    },
  };
}

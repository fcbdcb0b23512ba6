import { connect, createServer, type Socket } from "node:net";

/** Stands before a port, and counts. */
export interface CountingProxy {
  readonly port: number;
  /** What clients have sent, in bytes. */
  sentBytes(): number;
  /** What they have been answered with, in bytes. */
  answeredBytes(): number;
  close(): void;
}

/** Passes connections on to a port of 127.0.0.1, and counts their bytes. */
export async function countingProxy(target: number): Promise<CountingProxy> {
  const sockets = new Set<Socket>();
  const counts = { sent: 0, answered: 0 };
  const server = createServer({ noDelay: true }, (client) => {
    const peer = connect({ port: target, host: "127.0.0.1", noDelay: true });
    client.on("data", (chunk) => {
      counts.sent += chunk.length;
    });
    peer.on("data", (chunk) => {
      counts.answered += chunk.length;
    });
    for (const [one, other] of [
      [client, peer],
      [peer, client],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.once("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    sentBytes: () => counts.sent,
    answeredBytes: () => counts.answered,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

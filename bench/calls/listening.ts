import type { Server } from "node:net";
import { HOST } from "./peer.ts";

/** Resolves once the server listens. Rejects if the port is taken. */
export function listening(server: Pick<Server, "listen" | "once">, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, resolve);
  });
}

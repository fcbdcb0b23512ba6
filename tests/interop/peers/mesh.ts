import { SERVERS } from "../../judged/servers.ts";
import { TRANSPORTS } from "../../judged/transports.ts";
import { COMPRESSED } from "../cases.ts";
import { InteropService } from "../contract.ts";
import { interopService } from "../service.ts";
import type { ClientPeer, ServerPeer } from "./peer.ts";
import { typescriptClient } from "./typescript-client.ts";

/** The mesh's servers, with all their layers. */
export const MESH_SERVERS: readonly ServerPeer[] = Object.entries(SERVERS).map(([name, start]) => ({
  name: `the mesh's server on ${name}`,
  start: () =>
    start({
      services: [InteropService],
      routes: (router) => router.service(InteropService, interopService()),
    }),
}));

const OTHER_PROTOCOL = ["connect-node"];
const SENDS_PLAIN = { [COMPRESSED.name]: "the mesh's transport on it sends nothing compressed" };

/** The mesh's transports that speak gRPC. */
export const MESH_CLIENTS: readonly ClientPeer[] = Object.entries(TRANSPORTS)
  .filter(([name]) => !OTHER_PROTOCOL.includes(name))
  .map(([name, open]) =>
    typescriptClient(
      `the mesh's transport on ${name}`,
      (port, { sendsGzip }) => {
        const options = { interceptors: [], maxMessageBytes: 4 * 2 ** 20, sendsGzip };
        const transport = open({ host: "127.0.0.1", port }, options);
        return { transport, close: () => transport.close() };
      },
      name === "grpc-js" ? SENDS_PLAIN : {},
    ),
  );

import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  compressionGzip,
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { InteropService } from "../contract.ts";
import { interopService } from "../service.ts";
import type { ServerPeer } from "./peer.ts";
import { typescriptClient } from "./typescript-client.ts";

/** gRPC by `@connectrpc/connect-node`, as a client. */
export const connectNodeClient = typescriptClient("connect-node", (port, { sendsGzip }) => {
  const baseUrl = `http://127.0.0.1:${port}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  const sending = sendsGzip ? { sendCompression: compressionGzip } : {};
  const transport = createGrpcTransport({ baseUrl, sessionManager, ...sending });
  return { transport, close: () => sessionManager.abort() };
});

/** gRPC by `@connectrpc/connect-node`, as a server. */
export const connectNodeServer: ServerPeer = {
  name: "connect-node",
  async start() {
    const routes = connectNodeAdapter({
      routes: (router) => router.service(InteropService, interopService()),
    });
    const server = createServer(routes);
    const sessions = new Set<ServerHttp2Session>();
    server.on("session", (session) => {
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return {
      port: (server.address() as AddressInfo).port,
      stop() {
        server.close();
        for (const session of sessions) session.destroy();
      },
    };
  },
};

import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { silentLog } from "../core/log.ts";
import type { Endpoint } from "../discovery/target.ts";
import { type MeshServer, type ServerOptions, startServer } from "../rpc/server/server.ts";
import { atEnd } from "./at-end.ts";

/** A server with handlers that a test wrote. */
export interface TestServer extends MeshServer {
  readonly endpoint: Endpoint;
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
}

const HOST = "127.0.0.1";

/**
 * Serves one service of the contract with these handlers, on a free port; a method without one is UNIMPLEMENTED. It
 * ends at the end of the test, or of the test file, at once: what still runs is cut off.
 */
export async function testServer<S extends DescService>(
  service: S,
  handlers: Partial<ServiceImpl<S>>,
  options: Partial<ServerOptions> = {},
): Promise<TestServer> {
  const server = await startServer({
    host: HOST,
    port: 0,
    services: [service],
    routes: (router) => router.service(service, handlers),
    log: silentLog,
    ...options,
    // How busy the machine is that runs the tests must not decide what they see.
    admission: { loopDelayMs: () => 0, ...options.admission },
  });
  atEnd(() => server.stop(0));
  const address = `${HOST}:${server.port}`;
  return { ...server, endpoint: { host: HOST, port: server.port }, address, url: `http://${address}` };
}

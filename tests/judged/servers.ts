import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { silentLog } from "../../mesh/core/log.ts";
import { type DataPlane, dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import type { HttpHandler } from "../../mesh/rpc/server/http-fallback.ts";
import { startServer } from "../../mesh/rpc/server/server.ts";

/** What a server that is judged is to serve, on 127.0.0.1 and a free port. */
export interface Served {
  readonly services: readonly DescService[];
  readonly routes: (router: ConnectRouter) => void;
  readonly http?: HttpHandler;
  /** The largest message that it takes, in bytes. Defaults to what the server takes by itself. */
  readonly maxMessageBytes?: number;
  /** The outermost layer. Defaults to none. */
  readonly outermost?: Interceptor;
  /** Serves by TLS only, with this certificate and key, in PEM. Defaults to cleartext. */
  readonly tls?: {
    readonly cert: Uint8Array;
    readonly key: Uint8Array;
    /** Who must have issued the certificate that each client then has to show. */
    readonly clientCa?: Uint8Array;
  };
}

/** A server that is judged, and runs. */
export interface JudgedServer {
  readonly port: number;
  /** Ends it at once. */
  stop(): Promise<void>;
}

// A judge measures what is answered, not how many may ask: nothing is shed.
const WIDE = { limiter: { limit: () => 10_000, observe() {} }, loopDelayMs: () => 0 };

/** The mesh's servers, by what they stand on: with all their layers, which a judge must not notice. */
export const SERVERS: Readonly<Record<string, (served: Served) => Promise<JudgedServer>>> = {
  weft: serveOn("weft"),
  node: serveOn("grpc-js"),
};

function serveOn(dataPlane: string): (served: Served) => Promise<JudgedServer> {
  return (served) => serve(served, dataPlaneOf(dataPlane));
}

async function serve({ outermost, ...served }: Served, dataPlane: DataPlane): Promise<JudgedServer> {
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    ...served,
    dataPlane,
    ...(outermost && { telemetry: outermost }),
    log: silentLog,
    admission: WIDE,
    maxStreams: 10_000,
  });
  return { port: server.port, stop: () => server.stop(0) };
}

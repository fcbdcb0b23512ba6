import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { file_grpc_health_v1_health, Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Log } from "../core/log.ts";
import { beginWork, SERVER_TIMEOUTS, type ServerTimeouts } from "./begin-work.ts";
import { endWhenDraining } from "./end-when-draining.ts";
import { healthService } from "./health.ts";
import { answerHttp, type HttpHandler } from "./http-fallback.ts";
import { listen } from "./port.ts";
import { raceDeadline } from "./race-deadline.ts";
import { reflection } from "./reflection.ts";
import { logRequests } from "./request-log.ts";
import { clampTimeout } from "./timeout-header.ts";
import { validateRequests } from "./validation.ts";

/** What a mesh server needs. */
export interface ServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** The services of the contract that it offers. */
  readonly services: readonly DescService[];
  /** Connects them to their handlers. */
  readonly routes: (router: ConnectRouter) => void;
  readonly log: Log;
  /** Pages beside the RPCs and `/healthz`. */
  readonly http?: HttpHandler;
  readonly timeouts?: Partial<ServerTimeouts>;
  readonly clock?: Clock;
}

/** A server that runs. */
export interface MeshServer {
  readonly port: number;
  /** Aborts when the server begins to drain. */
  readonly draining: AbortSignal;
  /**
   * Refuses new calls, lets those that run end within `graceMs` (default 5,000), closes all connections. Safe to call
   * twice.
   */
  stop(graceMs?: number): Promise<void>;
}

const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/**
 * Serves gRPC, gRPC-Web and the Connect protocol, and HTTP pages, on one port, over HTTP/1.1 and cleartext HTTP/2,
 * with health and reflection. Rejects if the port is taken.
 */
export async function startServer(options: ServerOptions): Promise<MeshServer> {
  const { services, log, clock = systemClock } = options;
  const drain = new AbortController();
  const names = services.map((service) => service.typeName);

  // The first is the outermost.
  const stack: Interceptor[] = [
    // Above all, so that every line below knows its trace, its request and its deadline.
    beginWork(clock, { ...SERVER_TIMEOUTS, ...options.timeouts }),
    // Above what refuses, so that refusals are logged; below it errors are ours, above it they are the wire's.
    logRequests(log, clock),
    // Above the work, so that a stopping instance begins none.
    endWhenDraining(drain.signal),
    // Above validation, which runs on the caller's time too.
    raceDeadline(clock),
    // Next to the handler, so that it sees only what its contract allows.
    validateRequests(),
  ];

  const rpc = connectNodeAdapter({
    interceptors: stack,
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    routes(router) {
      options.routes(router);
      router.service(Health, healthService({ services: names, draining: drain.signal }));
      // The details of errors too, so that clients that know our contracts by reflection alone can read them.
      const described = [file_grpc_health_v1_health, file_google_rpc_error_details];
      reflection(
        router,
        [...names, Health.typeName],
        [...services.map((service) => service.file), ...described],
      );
    },
    fallback(request, response) {
      const failed = (error: unknown) => log.error({ err: error, page: request.url }, "a page failed");
      answerHttp(page, request, response, failed).catch(() => response.destroy());
    },
  });

  const page: HttpHandler = (request) => {
    if (new URL(request.url).pathname === "/healthz") {
      return drain.signal.aborted ? new Response("draining\n", { status: 503 }) : new Response("ok\n");
    }
    return options.http?.(request);
  };

  const port = await listen(options.host, options.port, (request, response) => {
    clampTimeout(request.headers);
    rpc(request, response);
  });

  return {
    port: port.port,
    draining: drain.signal,
    stop(graceMs = 5_000) {
      drain.abort();
      return port.drain(graceMs);
    },
  };
}

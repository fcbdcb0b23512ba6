import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { file_grpc_health_v1_health, Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { assertPolicies } from "../../contract/policy-problems.ts";
import { systemClock } from "../../core/clock.ts";
import { clampTimeout } from "./clamp-timeout.ts";
import type { ConnectionAgeOptions } from "./connection-age.ts";
import { healthService } from "./health.ts";
import { answerHttp, type HttpHandler } from "./http-fallback.ts";
import { listen } from "./port.ts";
import { reflection } from "./reflection.ts";
import { type ServerStackOptions, type ServerStackState, serverStack } from "./server-stack.ts";
import { joinTrailers } from "./trailers-only.ts";

/** What a mesh server needs. */
export interface ServerOptions extends ServerStackOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Connects the services to their handlers. */
  readonly routes: (router: ConnectRouter) => void;
  /** Pages beside the RPCs and `/healthz`. */
  readonly http?: HttpHandler;
  readonly connectionAge?: ConnectionAgeOptions;
}

/** What a server is doing. */
export interface ServerState extends ServerStackState {
  readonly connections: number;
}

/** A server that runs. */
export interface MeshServer {
  readonly port: number;
  /** Aborts when the server begins to drain. */
  readonly draining: AbortSignal;
  state(): ServerState;
  /**
   * Refuses new calls, lets those that run end within `graceMs` (default 5,000), closes all connections. Safe to call
   * twice.
   */
  stop(graceMs?: number): Promise<void>;
}

const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/**
 * Serves gRPC, gRPC-Web and the Connect protocol, and HTTP pages, on one port, over HTTP/1.1 and cleartext HTTP/2,
 * with health and reflection. Rejects if the port is taken, or if the contracts' policies cannot work.
 */
export async function startServer(options: ServerOptions): Promise<MeshServer> {
  assertPolicies(options.services);
  const { services, log, clock = systemClock, random = Math.random } = options;
  const drain = new AbortController();
  const names = services.map((service) => service.typeName);
  const stack = serverStack(options, drain.signal);

  const rpc = connectNodeAdapter({
    interceptors: stack.interceptors,
    contextValues: stack.early.contextValues,
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

  const port = await listen(
    options.host,
    options.port,
    (request, response) => {
      clampTimeout(request.headers);
      if (stack.early.refuses(request, response)) return;
      if (isGrpc.test(request.headers["content-type"] ?? "")) joinTrailers(response);
      rpc(request, response);
    },
    { ...options.connectionAge, clock, random },
  );

  return {
    port: port.port,
    draining: drain.signal,
    state: () => ({
      ...stack.state(),
      connections: port.connections(),
    }),
    stop(graceMs = 5_000) {
      drain.abort();
      stack.stop();
      return port.drain(graceMs);
    },
  };
}

const isGrpc = /^application\/grpc(\+|$)/;

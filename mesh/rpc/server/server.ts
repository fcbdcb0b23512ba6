import { createRegistry } from "@bufbuild/protobuf";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { file_grpc_health_v1_health, Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { assertPolicies } from "../../contract/policy-problems.ts";
import { systemClock } from "../../core/clock.ts";
import { type DataPlane, dataPlaneOf } from "../data-planes.ts";
import { clampTimeout } from "./clamp-timeout.ts";
import type { ConnectionAgeOptions } from "./connection-age.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import type { Cors } from "./cors.ts";
import { healthService } from "./health.ts";
import { answerHttp, type FileHandler, type HttpHandler, pages } from "./http-fallback.ts";
import { logCutOffs } from "./log-cut-offs.ts";
import { ownCalls } from "./own-calls.ts";
import { listen, type RequestHandler, type ServerTls } from "./port.ts";
import { reflection } from "./reflection.ts";
import { joinRepeated } from "./repeated-headers.ts";
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
  /** Files, asked for before pages and before `web`, in this order. Defaults to none. */
  readonly files?: readonly FileHandler[];
  /**
   * Makes what answers all that is neither an RPC nor a page, by any method. It is given a way to the services of this very
   * server, on which calls pass the same layers as those that come from outside.
   */
  readonly web?: (calls: Transport) => HttpHandler;
  /** Says in every answer what holds for all of them, before anybody else does. */
  readonly adorn?: RequestHandler;
  /** Lets pages of other origins call. Defaults to none. */
  readonly cors?: Cors;
  readonly connectionAge?: ConnectionAgeOptions;
  /** Serves by TLS only, with these. Defaults to cleartext. */
  readonly tls?: ServerTls;
  /** The largest message that is taken from callers, decompressed, in bytes. A larger one is RESOURCE_EXHAUSTED. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number;
  readonly connectionLimits?: ConnectionLimits;
  /** Learns of each connection that is cut off, and which guard did it; the log tells it too. */
  readonly onGuard?: (guard: string) => void;
  /** Who speaks HTTP/2 and gRPC. Defaults to the first of `dataPlanes`. */
  readonly dataPlane?: DataPlane;
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
   * Says NOT_SERVING to whoever asks for its health, and takes calls all the same for so many milliseconds, in which those
   * who do not ask find out too that it goes.
   */
  leave(forMs: number): Promise<void>;
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
  const { maxMessageBytes = MAX_MESSAGE_BYTES } = options;
  const leaving = new AbortController();
  const drain = new AbortController();
  const names = services.map((service) => service.typeName);
  const stack = serverStack(options, drain.signal);

  const allRoutes = (router: ConnectRouter) => {
    options.routes(router);
    router.service(Health, healthService({ services: names, leaving: leaving.signal }));
    // The details of errors too, so that clients that know our contracts by reflection alone can read them.
    const described = [file_grpc_health_v1_health, file_google_rpc_error_details];
    reflection(
      router,
      [...names, Health.typeName],
      [...services.map((service) => service.file), ...described],
    );
  };

  // So that what is in an Any can be said in JSON too.
  const registry = createRegistry(...services.map((service) => service.file));
  const rpc = connectNodeAdapter({
    interceptors: stack.interceptors,
    contextValues: stack.early.contextValues,
    readMaxBytes: maxMessageBytes,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    jsonOptions: { registry },
    routes: allRoutes,
    fallback(request, response) {
      if (options.files?.some((answers) => answers(request, response))) return;
      const failed = (error: unknown) => log.error({ err: error, page: request.url }, "a page failed");
      answerHttp(answers, request, response, failed).catch(() => response.destroy());
    },
  });

  const page: HttpHandler = (request) => {
    if (new URL(request.url).pathname === "/healthz") {
      return leaving.signal.aborted ? new Response("draining\n", { status: 503 }) : new Response("ok\n");
    }
    return options.http?.(request);
  };
  const { routes } = options;
  const { interceptors } = stack;
  const web = options.web?.(ownCalls({ routes, interceptors, maxMessageBytes }));
  const answers = [pages(page), ...(web ? [web] : [])];

  const { adorn, cors, limits, dataPlane = dataPlaneOf() } = options;
  // What is said in every answer, and what bounds callers, look at requests of HTTP.
  const looksAtHttp = adorn !== undefined || cors !== undefined || limits !== undefined;
  const { arrive } = stack.early;
  const calls = { routes: allRoutes, interceptors, maxMessageBytes, registry, arrive };
  const answer: RequestHandler = (request, response) => {
    clampTimeout(request.headers);
    joinRepeated(request);
    if (stack.early.refuses(request, response)) return;
    if (isGrpc.test(request.headers["content-type"] ?? "")) joinTrailers(response);
    rpc(request, response);
  };
  const logged = logCutOffs(log, clock);
  const port = await listen(
    options.host,
    options.port,
    (request, response) => {
      adorn?.(request, response);
      // Above the limits, so that a page of another origin can read that it calls too often.
      if (cors?.answers(request, response)) return;
      if (limits) limits.admit(request, response, () => answer(request, response));
      else answer(request, response);
    },
    {
      ...options.connectionAge,
      ...(options.tls && { tls: options.tls }),
      ...options.connectionLimits,
      clock,
      random,
      onGuard(guard) {
        logged(guard);
        options.onGuard?.(guard);
      },
      openHttp2: (http2) => dataPlane.openHttp2(http2, looksAtHttp ? undefined : calls),
    },
  );

  return {
    port: port.port,
    draining: drain.signal,
    state: () => ({
      ...stack.state(),
      connections: port.connections(),
    }),
    leave(forMs) {
      leaving.abort();
      return clock.sleep(forMs);
    },
    stop(graceMs = 5_000) {
      leaving.abort();
      drain.abort();
      stack.stop();
      return port.drain(graceMs);
    },
  };
}

const isGrpc = /^application\/grpc(\+|$)/;

import { availableParallelism } from "node:os";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { file_grpc_health_v1_health, Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { type Policies, policies as readPolicies } from "../../contract/policy.ts";
import { assertPolicies } from "../../contract/policy-problems.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { Log } from "../../core/log.ts";
import type { Sampler } from "../../core/trace.ts";
import { type AdmissionOptions, type AdmissionState, admission } from "../../resilience/admission.ts";
import { gradient2 } from "../../resilience/limiter.ts";
import { serviceTimes } from "../../resilience/service-time.ts";
import { admitCalls } from "./admit-calls.ts";
import { beginWork, SERVER_TIMEOUTS, type ServerTimeouts } from "./begin-work.ts";
import { boundStreams } from "./bound-streams.ts";
import { clampTimeout } from "./clamp-timeout.ts";
import type { ConnectionAgeOptions } from "./connection-age.ts";
import { type EarlyRefusal, earlyGate } from "./early-gate.ts";
import { endWhenDraining } from "./end-when-draining.ts";
import { healthService } from "./health.ts";
import { answerHttp, type HttpHandler } from "./http-fallback.ts";
import { joinDuplicates } from "./join-duplicates.ts";
import { watchLoopDelay } from "./loop-delay.ts";
import { refuseOverdue } from "./overdue.ts";
import { listen } from "./port.ts";
import { raceDeadline } from "./race-deadline.ts";
import { reflection } from "./reflection.ts";
import { logCall, logRequests } from "./request-log.ts";
import { joinTrailers } from "./trailers-only.ts";
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
  /** Defaults to what the contracts say. */
  readonly policies?: Policies;
  /** Measures every call that reaches the stack. */
  readonly telemetry?: Interceptor;
  /** Learns of every call that does not. It runs as the work that the call would have been. */
  readonly onEarlyRefusal?: (refusal: EarlyRefusal) => void;
  /** Learns of every call that was refused because its deadline had passed. */
  readonly onOverdue?: (method: DescMethod) => void;
  /** Says which traces are recorded. Defaults to those that the caller records. */
  readonly sampler?: Sampler;
  /** Spoils calls on purpose; what it does counts as the handler's own. */
  readonly faults?: Interceptor;
  /** What bounds unary calls. The limiter defaults to `gradient2`, the delay to that of this process. */
  readonly admission?: Partial<Omit<AdmissionOptions, "clock" | "random">>;
  /** How many streams may be open. Defaults to 1,000. */
  readonly maxStreams?: number;
  readonly connectionAge?: ConnectionAgeOptions;
  readonly clock?: Clock;
  /** A number from 0 to below 1. Defaults to `Math.random`. */
  readonly random?: () => number;
}

/** What a server is doing. */
export interface ServerState extends AdmissionState {
  /** Streams that are open, those for operators left out. */
  readonly streams: number;
  /** Handlers that still run whose calls have been answered without them. */
  readonly abandonedHandlers: number;
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
  const { services, log, clock = systemClock, random = Math.random, maxStreams = 1_000 } = options;
  const { policies = readPolicies(), telemetry, faults } = options;
  const drain = new AbortController();
  const names = services.map((service) => service.typeName);

  const loopDelay = watchLoopDelay(clock);
  const calls = admission({
    limiter: gradient2({ min: Math.max(8, 2 * availableParallelism()) }, clock),
    loopDelayMs: loopDelay.delayMs,
    ...options.admission,
    clock,
    random,
  });
  const streams = boundStreams(maxStreams, random);
  const race = raceDeadline(clock);
  const reading = {
    clock,
    policies,
    timeouts: { ...SERVER_TIMEOUTS, ...options.timeouts },
    ...(options.sampler && { sampler: options.sampler }),
  };

  // What refuses a call by its headers alone, the first one first.
  const gates = [
    // Above all else that refuses: another instance can take the call, whatever is wrong with it here.
    endWhenDraining(drain.signal),
    // Above what makes calls wait: nobody waits for this one any more.
    refuseOverdue(clock, options.onOverdue),
    // Above what takes permits, because streams take none.
    streams,
    // Above all work, so that there is never more of it than can be done.
    admitCalls({ admission: calls, times: serviceTimes(clock), policies, clock }),
  ];

  // The first is the outermost.
  const stack: Interceptor[] = [
    // Above all, so that every line below knows its trace, its request, its deadline and its criticality.
    beginWork(reading),
    // Above what refuses, so that refusals are measured, and above the log, whose errors are the wire's.
    ...(telemetry ? [telemetry] : []),
    // Above what refuses, so that refusals are logged; below it errors are ours, above it they are the wire's.
    logRequests(log, clock),
    ...gates.map((gate) => gate.interceptor),
    // Above the race: who waits for another's answer has a deadline of its own, and no handler to leave behind.
    joinDuplicates(policies, clock),
    // Above validation, which runs on the caller's time too.
    race.interceptor,
    // Below the race and the admission, so that a delay on purpose is cut off and counted like one of the handler.
    ...(faults ? [faults] : []),
    // Next to the handler, so that it sees only what its contract allows.
    validateRequests(),
  ];

  const refuseEarly = earlyGate({
    ...reading,
    services: [...services, Health],
    gates,
    onRefused(refusal) {
      const { method, error } = refusal;
      logCall(log, { service: method.parent, method, ms: 0, error });
      options.onEarlyRefusal?.(refusal);
    },
  });

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

  const port = await listen(
    options.host,
    options.port,
    (request, response) => {
      clampTimeout(request.headers);
      if (refuseEarly(request, response)) return;
      if (isGrpc.test(request.headers["content-type"] ?? "")) joinTrailers(response);
      rpc(request, response);
    },
    { ...options.connectionAge, clock, random },
  );

  return {
    port: port.port,
    draining: drain.signal,
    state: () => ({
      ...calls.state(),
      streams: streams.open(),
      abandonedHandlers: race.abandoned(),
      connections: port.connections(),
    }),
    stop(graceMs = 5_000) {
      drain.abort();
      loopDelay.stop();
      return port.drain(graceMs);
    },
  };
}

const isGrpc = /^application\/grpc(\+|$)/;

import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Endpoint } from "../discovery/target.ts";
import { readTimeoutMs } from "../resilience/timeout-header.ts";
import type { Protocol } from "../rpc/client/protocol.ts";
import { atEnd } from "./at-end.ts";
import type { Death } from "./tcp-proxy.ts";
import type { ToyService } from "./toy-service.ts";

/** What a scripted backend does with an attempt. */
export type Step =
  /** Answers. */
  | { readonly does: "answer"; readonly text?: string; readonly after?: Promise<unknown> }
  /** Answers with an error, a stream after these messages. */
  | Failure
  /** Ends the HTTP/2 stream with this error of HTTP/2: 7 is REFUSED_STREAM, 8 CANCEL. */
  | { readonly does: "reset"; readonly code: number }
  /** Says that it did not look at the call (an HTTP/2 GOAWAY below its number); not with the first call of a connection. */
  | { readonly does: "goaway" }
  /** Its process dies: every connection breaks. */
  | { readonly does: "cut"; readonly how: Death }
  /** Says nothing, for ever. */
  | { readonly does: "hang" }
  /** Begins to answer, and goes on byte by byte for ever. */
  | { readonly does: "drip" };

/** An error, and what a server may say with it. */
export interface Failure {
  readonly does: "fail";
  readonly code: Code;
  /** The reason of an ErrorInfo. */
  readonly reason?: string;
  /** Defaults to the mesh's own. */
  readonly domain?: string;
  /** The trailer `grpc-retry-pushback-ms`, as it is. */
  readonly pushback?: string;
  /** Of a RetryInfo. Milliseconds. */
  readonly retryDelayMs?: number;
  /** The messages of a stream before it. */
  readonly messages?: readonly string[];
}

/** An attempt as it arrived. */
export interface ArrivedAttempt {
  /** Where it arrived. */
  readonly address: string;
  readonly method: string;
  /** What its timeout header says, in milliseconds. */
  readonly timeoutMs: number | undefined;
  /** Its `grpc-previous-rpc-attempts`. */
  readonly previousAttempts: string | undefined;
  /** By performance.now. */
  readonly arrivedMs: number;
  readonly headers: http.IncomingHttpHeaders;
}

/** A real server that does as it is told, attempt by attempt, and tells what arrived. */
export interface ScriptedBackend {
  readonly endpoint: Endpoint;
  readonly address: string;
  readonly attempts: readonly ArrivedAttempt[];
  /** What the next attempts get, one step each; after the last, and without any, attempts are answered. */
  plays(...steps: readonly Step[]): void;
  /** What every attempt gets from now on. */
  always(step: Step): void;
  /** Resolves when so many attempts have arrived. */
  whenArrived(count: number): Promise<void>;
  /** Breaks all connections, as the death of its process would; it still listens. */
  cut(how: Death): void;
  /** Breaks all connections and listens no more. Safe to call twice. */
  stop(): Promise<void>;
}

/** What a scripted backend needs. */
export interface ScriptedBackendOptions {
  readonly protocol: Protocol;
  readonly service: ToyService;
  readonly script?: readonly Step[];
  /** Where attempts are noted, in the order of their arrival; several backends may share it. */
  readonly attempts?: ArrivedAttempt[];
  /** Other services beside the toy's. */
  readonly routes?: (router: ConnectRouter) => void;
  /** Where it listens. Defaults to a free port. */
  readonly port?: number;
}

const HOST = "127.0.0.1";
const DRIP_EVERY_MS = 5;

/** An error of this code. */
export function fails(code: Code, what: Omit<Failure, "does" | "code"> = {}): Failure {
  return { does: "fail", code, ...what };
}

/** UNAVAILABLE without any word on whether the call was begun. */
export const UNAVAILABLE = fails(Code.Unavailable);
/** RST_STREAM with REFUSED_STREAM. */
export const REFUSED_STREAM: Step = { does: "reset", code: http2.constants.NGHTTP2_REFUSED_STREAM };

const stepKey = createContextKey<Step>({ does: "answer" });

/**
 * Starts a server on connect's own adapter, over HTTP/2 for gRPC and HTTP/1.1 for the Connect protocol, without
 * anything of the mesh (modelled on the SequenceService of gapic-showcase). It ends with the test, or the test file.
 */
export async function scriptedBackend(options: ScriptedBackendOptions): Promise<ScriptedBackend> {
  const { protocol, service, attempts = [] } = options;
  const steps = [...(options.script ?? [])];
  let otherwise: Step = { does: "answer" };
  const own: ArrivedAttempt[] = [];
  const watchers = new Set<() => void>();
  const sockets = new Set<Socket>();
  const stepOf = new WeakMap<object, Step>();

  const rpc = connectNodeAdapter({
    routes(router) {
      options.routes?.(router);
      router.service(service, { ask: unary, order: unary, watch });
    },
    contextValues: (request) => createContextValues().set(stepKey, stepOf.get(request) ?? otherwise),
  });

  function handle(request: Request, response: Response): void {
    const { url = "", headers } = request;
    const [, typeName, method = ""] = url.split("/");
    if (typeName !== service.typeName) {
      rpc(request, response);
      return;
    }
    const previous = headers["grpc-previous-rpc-attempts"];
    const attempt = {
      address,
      method,
      timeoutMs: readTimeoutMs({ get: (name) => headers[name] as string | undefined }),
      previousAttempts: typeof previous === "string" ? previous : undefined,
      arrivedMs: performance.now(),
      headers,
    };
    own.push(attempt);
    attempts.push(attempt);
    const step = steps.shift() ?? otherwise;
    stepOf.set(request, step);
    if (step.does === "answer" || step.does === "fail") rpc(request, response);
    else below(step, response);
    for (const look of [...watchers]) look();
  }

  /** What no RPC handler can do. */
  function below(step: Exclude<Step, { does: "answer" | "fail" }>, response: Response): void {
    switch (step.does) {
      case "hang":
        return;
      case "cut":
        cut(step.how);
        return;
      case "drip":
        drip(response as http.ServerResponse, protocol);
        return;
      case "reset":
        streamOf(response).close(step.code);
        return;
      case "goaway": {
        const { session, id = 0 } = streamOf(response);
        session?.goaway(http2.constants.NGHTTP2_NO_ERROR, id - 2);
      }
    }
  }

  function cut(how: Death): void {
    for (const socket of sockets) {
      if (how === "RST") socket.resetAndDestroy();
      else socket.destroy();
    }
  }

  const server =
    protocol === "grpc"
      ? http2.createServer({}, handle)
      : http.createServer({ keepAliveTimeout: 65_000 }, handle);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("session", (session: http2.ServerHttp2Session) => session.on("error", () => session.destroy()));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, HOST, resolve);
  });
  const { port } = server.address() as AddressInfo;
  const address = `${HOST}:${port}`;

  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= new Promise((resolve) => {
      server.close(() => resolve());
      cut("FIN");
    });
    return stopped;
  };
  atEnd(stop);

  return {
    endpoint: { host: HOST, port },
    address,
    attempts: own,
    plays: (...more) => void steps.push(...more),
    always(step) {
      otherwise = step;
    },
    whenArrived(count) {
      return new Promise((resolve) => {
        const look = () => {
          if (own.length < count) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      });
    },
    cut,
    stop,
  };
}

type Request = http.IncomingMessage | http2.Http2ServerRequest;
type Response = http.ServerResponse | http2.Http2ServerResponse;

function streamOf(response: Response): http2.ServerHttp2Stream {
  if (!("stream" in response)) throw new Error("only HTTP/2 has streams to reset, and GOAWAY");
  return response.stream as http2.ServerHttp2Stream;
}

async function unary({ text }: { text: string }, { values }: HandlerContext) {
  const step = values.get(stepKey);
  if (step.does === "fail") throw toError(step);
  if (step.does !== "answer") throw new Error(`no handler can do "${step.does}"`);
  await step.after;
  return { text: step.text ?? text };
}

async function* watch({ text }: { text: string }, { values }: HandlerContext) {
  const step = values.get(stepKey);
  if (step.does === "fail") {
    for (const message of step.messages ?? []) yield { text: message };
    throw toError(step);
  }
  if (step.does !== "answer") throw new Error(`no handler can do "${step.does}"`);
  yield { text: step.text ?? text };
  await step.after;
}

function toError({ code, reason, domain = "mesh.weft", pushback, retryDelayMs }: Failure): ConnectError {
  const error = new ConnectError("as the script says", code);
  if (pushback !== undefined) error.metadata.set("grpc-retry-pushback-ms", pushback);
  if (reason !== undefined) {
    error.details.push({ desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain }) });
  }
  if (retryDelayMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(retryDelayMs / 1_000)),
      nanos: (retryDelayMs % 1_000) * 1_000_000,
    };
    error.details.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return error;
}

/** The headers of a good answer, and then its bytes, one at a time: those of a message that is never complete. */
function drip(response: http.ServerResponse, protocol: Protocol): void {
  response.writeHead(200, {
    "content-type": protocol === "grpc" ? "application/grpc+proto" : "application/proto",
  });
  // A message of 1 MiB begins.
  if (protocol === "grpc") response.write(Buffer.of(0, 0, 0x10, 0, 0));
  const timer = setInterval(() => response.write(Buffer.of(0)), DRIP_EVERY_MS);
  response.once("close", () => clearInterval(timer));
}

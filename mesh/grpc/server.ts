import type { Registry } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import { parseGrpcTimeout } from "../core/grpc-timeout.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import type { MessageHead } from "../http2/message-head.ts";
import type { Stream } from "../http2/stream.ts";
import { acceptEncoding, type Compression, findCompression } from "./compression.ts";
import { type Format, parseContentType } from "./content-type.ts";
import { findValue } from "./metadata.ts";
import { RefusedCall } from "./refused-call.ts";
import { type ServerCallOptions, toError } from "./server-call.ts";
import { type ServerMethod, serverMethods } from "./server-method.ts";
import { ServerStreamingCall } from "./server-streaming-call.ts";
import { ServerUnaryCall } from "./server-unary-call.ts";

/** What a gRPC server needs. */
export interface GrpcServerOptions {
  /** Connects the services to their handlers. */
  readonly routes: (router: ConnectRouter) => void;
  /** The first is the outermost. Defaults to none. */
  readonly interceptors?: readonly Interceptor[];
  /** The largest message that is taken. Defaults to 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Where JSON finds what is in an `Any`. */
  readonly registry?: Registry;
  /**
   * Sees a call's headers before anything else does: what it returns are the context values of the call, or the error that
   * answers it. Defaults to letting every call pass.
   */
  readonly arrive?: (method: ServerMethod, fields: readonly HeaderField[]) => ContextValues | ConnectError;
  /** Says nothing of deadlines of unary calls: interceptors answer them. Defaults to false. */
  readonly leavesUnaryDeadlines?: boolean;
}

/** A gRPC server on streams of HTTP/2. */
export interface GrpcServer {
  /** What finds the call that a request is, for each new connection; undefined if it is no gRPC. */
  connection(): (head: Readonly<MessageHead>, fields: readonly HeaderField[]) => Stream | undefined;
  /** Handlers that still run whose calls have been answered without them. */
  abandonedHandlers(): number;
}

/** Serves gRPC (PROTOCOL-HTTP2): every method that `routes` registers, in proto and JSON. */
export function grpcServer(options: GrpcServerOptions): GrpcServer {
  const {
    routes,
    interceptors = [],
    maxMessageBytes = 2 ** 22,
    arrive = () => createContextValues(),
  } = options;
  const { leavesUnaryDeadlines = false } = options;
  const methods = serverMethods(routes, interceptors);
  let abandoned = 0;
  const callOptions: ServerCallOptions = {
    maxMessageBytes,
    registry: options.registry,
    leavesUnaryDeadlines,
    onAbandoned: (change) => {
      abandoned += change;
    },
  };

  /** An error that it throws is that of one call, not of its connection. */
  function arrivalOf(method: ServerMethod, fields: readonly HeaderField[]): ContextValues | ConnectError {
    try {
      return arrive(method, fields);
    } catch (thrown) {
      return toError(thrown);
    }
  }

  function kindOf(head: Readonly<MessageHead>, fields: readonly HeaderField[]): Kind | Refusal | undefined {
    const type = findValue(fields, "content-type");
    if (type === undefined || !isGrpc.test(type)) return undefined;
    const format = parseContentType(type);
    if (format === undefined) return { status: 415 };
    if (head.method !== "POST") return { status: 405 };
    const refused = (error: ConnectError) => ({ status: 200, error, type });
    const method = methods.get(head.path) ?? methods.get(head.path.split("?", 1)[0] as string);
    if (!method) return refused(new ConnectError(`${head.path} is not implemented`, Code.Unimplemented));
    const timeout = findValue(fields, "grpc-timeout");
    if (timeout !== undefined && parseGrpcTimeout(timeout) === undefined) {
      return refused(new ConnectError(`"${timeout}" is no grpc-timeout`, Code.InvalidArgument));
    }
    const compression = compressionOf(fields);
    return compression instanceof ConnectError
      ? { ...refused(compression), more: ACCEPTED }
      : { method, format, compression, type };
  }

  function connection(): (head: Readonly<MessageHead>, fields: readonly HeaderField[]) => Stream | undefined {
    let last: readonly HeaderField[] | undefined;
    let kind: ReturnType<typeof kindOf>;
    return (head, fields) => {
      // The decoder gives the same list for the same block, as most calls of a connection have.
      if (fields !== last) {
        kind = kindOf(head, fields);
        last = fields;
      }
      if (kind === undefined) return undefined;
      if ("status" in kind) return new RefusedCall(kind.status, kind.error, kind.type, kind.more);
      const { method, format, compression, type } = kind;
      const arrived = arrivalOf(method, fields);
      if (arrived instanceof ConnectError) return new RefusedCall(200, arrived, type);
      return method.desc.methodKind === "unary"
        ? new ServerUnaryCall(method, format, compression, fields, arrived, callOptions)
        : new ServerStreamingCall(method, format, compression, fields, arrived, callOptions);
    };
  }

  return { connection, abandonedHandlers: () => abandoned };
}

/** What the headers of a call say of it. */
interface Kind {
  readonly method: ServerMethod;
  readonly format: Format;
  readonly compression: Compression;
  readonly type: string;
}

/** How a call is answered that its headers spoil. */
interface Refusal {
  readonly status: number;
  readonly error?: ConnectError;
  readonly type?: string;
  readonly more?: readonly HeaderField[];
}

function compressionOf(fields: readonly HeaderField[]): Compression | ConnectError {
  try {
    return findCompression(findValue(fields, "grpc-encoding"), Code.Unimplemented);
  } catch (thrown) {
    return ConnectError.from(thrown);
  }
}

/** Who asked in a compression that nobody knows learns which ones there are (gRPC's compression.md). */
const ACCEPTED: readonly HeaderField[] = [{ name: "grpc-accept-encoding", value: acceptEncoding() }];

// Not gRPC-Web.
const isGrpc = /^application\/grpc($|[+; ])/i;

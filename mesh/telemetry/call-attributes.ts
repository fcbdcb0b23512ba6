import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { messageOf } from "../core/errors.ts";
import type { Histogram } from "./counts.ts";
import type { Attributes } from "./instruments.ts";
import type { OpenSpan } from "./spans.ts";
import { codeName, errorType, isCoded } from "./status.ts";
import type { Telemetry } from "./telemetry.ts";

/** A call, as an interceptor has it. */
export type CallRequest = Parameters<ReturnType<Interceptor>>[0];

/** What is spoken: gRPC in either of its forms, or the Connect protocol. */
export type RpcSystem = "grpc" | "connectrpc";

/** What the attributes of a call name, besides its method and its end. */
export interface CallPeer {
  readonly system: RpcSystem;
  /** The server's name or address. */
  readonly address?: string;
  readonly port?: number;
}

/** Says more about a call in its span, when it has ended. What it throws is ignored. */
export type DescribeCall = (request: CallRequest, end: CallEnd) => Readonly<Record<string, string | number>>;

/** A method that was called; undefined if the server does not know it. */
export type CalledMethod = DescMethod | undefined;

/** `package.Service/Method`; `_OTHER` for one that is not known, because callers must not choose names for our series. */
export function methodName(method: CalledMethod): string {
  return method ? `${method.parent.typeName}/${method.name}` : "_OTHER";
}

/** The same as gRPC names it (A66), which calls what is not known `other`. */
export function grpcMethodName(method: CalledMethod): string {
  return method ? methodName(method) : "other";
}

const UNKNOWN = {};

/** Makes something once for each method, and finds it by the descriptor: far cheaper than by the attributes. */
export function perMethod<T>(make: (method: CalledMethod) => T): (method: CalledMethod) => T {
  const known = new WeakMap<object, T>();
  return (method) => {
    let found = known.get(method ?? UNKNOWN);
    if (found === undefined) {
      found = make(method);
      known.set(method ?? UNKNOWN, found);
    }
    return found;
  };
}

/** How a call ended. */
export interface CallEnd {
  readonly code: number;
  /** What was thrown, if anything was. */
  readonly error?: unknown;
}

/** The attributes of a call that has ended, as OpenTelemetry names them. */
export function callAttributes(
  telemetry: Telemetry,
  side: "client" | "server",
  { system, address, port }: CallPeer,
  method: CalledMethod,
  { code, error }: CallEnd,
): Record<string, string | number> {
  const attributes: Record<string, string | number> = {
    "rpc.system.name": system,
    "rpc.method": methodName(method),
  };
  for (const name of telemetry.codeNames) attributes[name] = codeName(code);
  const type = errorType(side, code, error);
  if (type !== undefined) attributes["error.type"] = type;
  if (address !== undefined) attributes["server.address"] = address;
  if (port !== undefined) attributes["server.port"] = port;
  return attributes;
}

/** The histograms of the lengths of calls, by the names of OpenTelemetry and by those of gRPC. */
export function callDurations(
  telemetry: Telemetry,
  side: "client" | "server",
  peer: CallPeer & { readonly target?: string },
): (method: CalledMethod, end: CallEnd) => Histogram {
  const make = (method: CalledMethod, end: CallEnd): Histogram => {
    const attributes = callAttributes(telemetry, side, peer, method, end);
    const rpc = telemetry.histogram(`rpc.${side}.call.duration`, attributes);
    const named = { "grpc.method": grpcMethodName(method), "grpc.status": codeName(end.code) };
    const grpc =
      side === "client"
        ? telemetry.histogram("grpc.client.call.duration", { ...named, "grpc.target": peer.target })
        : telemetry.histogram("grpc.server.call.duration", named);
    return {
      record(value) {
        rpc.record(value);
        grpc.record(value);
      },
    };
  };
  const known = perMethod<Histogram[]>(() => []);
  return (method, end) => {
    // The name of an error without a code tells series apart too.
    if (end.error !== undefined && !isCoded(end.error)) return make(method, end);
    const byCode = known(method);
    byCode[end.code] ??= make(method, end);
    return byCode[end.code] as Histogram;
  };
}

/** Ends a span as its call ended, with its attributes and what else there is to say. */
export function endSpan(span: OpenSpan, endedMs: number, attributes: Attributes, error: unknown): void {
  const type = attributes["error.type"];
  const failure = error === undefined ? String(type) : messageOf(error);
  span.end(endedMs, attributes, type === undefined ? undefined : failure);
}

/** What a describer says; nothing if there is none, or if it fails: a call never fails for what is told of it. */
export function describe(
  describer: DescribeCall | undefined,
  request: CallRequest,
  end: CallEnd,
): ReturnType<DescribeCall> | undefined {
  try {
    return describer?.(request, end);
  } catch {
    return undefined;
  }
}

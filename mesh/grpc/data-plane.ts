import * as net from "node:net";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError, ContextValues, Interceptor, Transport } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import type { LazyAbort } from "../core/signal.ts";
import { Client } from "../http2/client.ts";
import { HeldBytes } from "../http2/held-bytes.ts";
import { NodeExchange, type NodeHandler } from "../http2/node-exchange.ts";
import { ServerConnection, type ServerConnectionOptions } from "../http2/server-connection.ts";
import { findValue } from "./metadata.ts";
import { type GrpcServerOptions, grpcServer } from "./server.ts";
import { grpcTransport } from "./transport.ts";

/** What a transport to one endpoint needs to know. */
export interface WeftTransportOptions {
  readonly interceptors: readonly Interceptor[];
  /** The largest message that is taken from the other side, in bytes. */
  readonly maxMessageBytes: number;
  /** Ends a unary call in place of a signal and a timeout, for a caller that watches both itself. */
  readonly endingOf?: (values: ContextValues) => LazyAbort | undefined;
}

/** gRPC to one endpoint, over one connection at a time. */
export function grpc(
  endpoint: { readonly host: string; readonly port: number },
  options: WeftTransportOptions,
): Transport & { readonly needsNoSignal: boolean; close(): void } {
  const { host, port } = endpoint;
  const client = new Client({ connect: () => net.connect({ host, port, noDelay: true }) });
  const transport = grpcTransport(client, { ...options, authority: `${host}:${port}` });
  return { ...transport, needsNoSignal: options.interceptors.length === 0, close: () => client.close() };
}

/** What HTTP/2 on a port needs. */
export interface WeftHttp2Options
  extends Pick<ServerConnectionOptions, "headersWithinMs" | "progressWithinMs" | "onGuard"> {
  /** Answers what is not gRPC. */
  readonly handler: (request: never, response: never) => void;
  readonly clock: Clock;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** When a connection is told to go, give or take 10 %. Milliseconds. Defaults to 600,000. */
  readonly maxConnectionAgeMs?: number;
  /** How long its calls may still take then. Milliseconds. Defaults to 30,000. */
  readonly maxConnectionAgeGraceMs?: number;
}

/** The calls of a server. */
export interface WeftCalls extends Pick<GrpcServerOptions, "routes" | "interceptors" | "maxMessageBytes"> {
  /** What refuses a call by its headers, or the context values of the one that passes. */
  readonly arrive: (
    method: DescMethod,
    header: (name: string) => string | undefined,
  ) => ConnectError | ContextValues;
}

function arriveBy({ arrive }: WeftCalls): NonNullable<GrpcServerOptions["arrive"]> {
  return (method, fields) => arrive(method.desc, (name) => findValue(fields, name));
}

/** HTTP/2 on a port: gRPC by these calls, all else by the handler; without calls all of it. */
export function openHttp2(
  options: WeftHttp2Options,
  calls: WeftCalls | undefined,
): { take(socket: net.Socket, seen: Buffer): void; drain(): void; destroy(): void } {
  const { clock, random } = options;
  const { maxConnectionAgeMs = 600_000, maxConnectionAgeGraceMs = 30_000 } = options;
  const server = calls && grpcServer({ ...calls, arrive: arriveBy(calls), leavesUnaryDeadlines: true });
  const handler = options.handler as unknown as NodeHandler;
  const connections = new Set<ServerConnection>();
  // Of all connections together.
  const connectionOptions = { ...options, held: new HeldBytes() };
  return {
    take(socket, seen) {
      const accept = server?.connection();
      const connection = new ServerConnection(
        socket,
        (head, fields) => accept?.(head, fields) ?? new NodeExchange(head, fields, socket, handler),
        connectionOptions,
      );
      connections.add(connection);
      let stop = clock.after(maxConnectionAgeMs * (0.9 + 0.2 * random()), () => {
        stop = clock.after(maxConnectionAgeGraceMs, () => connection.destroy());
        connection.drain();
      });
      connection.onClose = () => {
        stop();
        connections.delete(connection);
      };
      connection.feed(seen);
    },
    drain() {
      for (const connection of connections) connection.drain();
    },
    destroy() {
      for (const connection of connections) connection.destroy();
    },
  };
}

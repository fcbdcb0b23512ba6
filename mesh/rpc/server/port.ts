import * as http from "node:http";
import type * as http2 from "node:http2";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { type Clock, MAX_TIMER_MS, systemClock } from "../../core/clock.ts";
import { answerBadHttp, isNoHttp } from "./bad-http.ts";
import { type ConnectionAgeOptions, connectionAge } from "./connection-age.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { nodeHttp2 } from "./http2-node.ts";
import type { Http2Side, Http2SideOptions } from "./http2-side.ts";
import { passOverRest } from "./unread-rest.ts";

/** Handles a request of HTTP/1.1 or HTTP/2. */
export type RequestHandler = (
  request: http.IncomingMessage | http2.Http2ServerRequest,
  response: http.ServerResponse | http2.Http2ServerResponse,
) => void;

/** A TCP port that speaks HTTP/1.1 and cleartext HTTP/2 (prior knowledge). */
export interface Port {
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  /** How many connections are open. */
  connections(): number;
  /**
   * Takes no new connection, tells the others to go (GOAWAY, `connection: close`), waits until their calls are done,
   * at most `graceMs`, then closes what is left. Safe to call twice.
   */
  drain(graceMs: number): Promise<void>;
}

/** What a server needs for TLS, in PEM. */
export interface ServerTls {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
  /** Who must have issued the certificate that each client then has to show. Defaults to asking for none. */
  readonly clientCa?: string | Uint8Array;
}

/** What a port may be told beyond where it listens. */
export interface PortOptions extends ConnectionAgeOptions, ConnectionLimits {
  /** Serves by TLS only, with these. Defaults to cleartext. */
  readonly tls?: ServerTls;
  /** Speaks HTTP/2. Defaults to node:http2. */
  readonly openHttp2?: (options: Http2SideOptions) => Http2Side;
  /** For the age of connections. */
  readonly clock?: Clock;
  /** A number from 0 to below 1. Defaults to `Math.random`. */
  readonly random?: () => number;
  /** Learns of each connection that ends by a fault of its peer, or is one too many, and which guard that was. */
  readonly onGuard?: (guard: string) => void;
}

const PREFACE = Buffer.from("PRI * HTTP/2.0");

/** Listens; the first bytes of a connection tell which protocol it speaks (RFC 9113, section 3.4). */
export async function listen(
  host: string,
  port: number,
  handler: RequestHandler,
  options: PortOptions = {},
): Promise<Port> {
  const { firstBytesWithinMs = 10_000, clock = systemClock, random = Math.random } = options;
  const { openHttp2 = nodeHttp2, maxConnections = 2_000, onGuard } = options;
  const age = connectionAge(options, clock, random);
  let draining: Promise<void> | undefined;
  const answering = new Set<http.ServerResponse>();
  const h1 = http.createServer(
    { keepAliveTimeout: 65_000, requestTimeout: 120_000, headersTimeout: 15_000 },
    (request, response) => {
      answering.add(response);
      if (age.isOld(request.socket)) response.setHeader("connection", "close");
      response.once("close", () => {
        answering.delete(response);
        // For an answer whose headers had left before: they promised to keep the connection.
        if (draining) h1.closeIdleConnections();
      });
      passOverRest(request, response);
      handler(request, response);
    },
  );
  const strangers = new WeakSet<Duplex>();
  h1.on("clientError", (error, socket) => {
    const hasBegun = [...answering].some((each) => each.socket === socket && each.headersSent);
    answerBadHttp(error, socket, !hasBegun && !strangers.has(socket));
  });
  // Never listens itself, so it is told to begin watching for slow requests.
  h1.emit("listening");
  const h2 = openHttp2({ ...options, handler, clock, random });

  const sockets = new Set<net.Socket>();
  const undecided = new Set<net.Socket>();
  const take = (socket: net.Socket) => {
    sockets.add(socket);
    undecided.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      undecided.delete(socket);
    });
    socket.on("error", () => socket.destroy());
    const saysNothing = () => {
      onGuard?.("SLOW");
      socket.destroy();
    };
    firstBytes(socket, firstBytesWithinMs, saysNothing, (isHttp2, seen) => {
      undecided.delete(socket);
      if (isHttp2) return h2.take(socket, seen);
      if (isNoHttp(seen)) strangers.add(socket);
      age.begin(socket);
      socket.pause();
      socket.unshift(seen);
      h1.emit("connection", socket);
      // node:http waits for what was put back.
      socket.resume();
    });
  };
  const tcp = options.tls ? secureServer(options.tls, take) : net.createServer({ noDelay: true }, take);
  tcp.maxConnections = maxConnections;
  tcp.on("drop", () => onGuard?.("CONNECTIONS"));
  await new Promise<void>((resolve, reject) => {
    tcp.once("error", reject);
    tcp.listen(port, host, resolve);
  });

  async function close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => tcp.close(() => resolve()));
    h2.drain();
    for (const socket of undecided) socket.destroy();
    for (const response of answering) if (!response.headersSent) response.setHeader("connection", "close");
    h1.close(() => {});
    h1.closeIdleConnections();
    const overdue = setTimeout(
      () => {
        h2.destroy();
        for (const socket of sockets) socket.destroy();
      },
      Math.min(graceMs, MAX_TIMER_MS),
    );
    await closed;
    clearTimeout(overdue);
    h2.destroy();
  }

  const address = tcp.address() as net.AddressInfo;
  return {
    host,
    port: address.port,
    connections: () => sockets.size,
    drain(graceMs) {
      draining ??= close(graceMs);
      return draining;
    },
  };
}

const HANDSHAKE_WITHIN_MS = 10_000;

/** Speaks TLS 1.2 and later, and offers HTTP/2 and HTTP/1.1 by ALPN. */
function secureServer({ cert, key, clientCa }: ServerTls, take: (socket: net.Socket) => void): net.Server {
  const server = tls.createServer(
    {
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      ...(clientCa && { ca: Buffer.from(clientCa), requestCert: true, rejectUnauthorized: true }),
      ALPNProtocols: ["h2", "http/1.1"],
      minVersion: "TLSv1.2",
      handshakeTimeout: HANDSHAKE_WITHIN_MS,
      noDelay: true,
    },
    take,
  );
  // Who fails the handshake is no concern of anybody else.
  server.on("tlsClientError", (_, socket) => socket.destroy());
  return server;
}

/** Looks at the first bytes; a connection that sends none in time is closed. */
function firstBytes(
  socket: net.Socket,
  withinMs: number,
  saysNothing: () => void,
  decide: (isHttp2: boolean, seen: Buffer) => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  socket.setTimeout(withinMs, saysNothing);
  socket.on("data", function look(chunk: Buffer) {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const compared = Math.min(seen.length, PREFACE.length);
    const isHttp2 = seen.subarray(0, compared).equals(PREFACE.subarray(0, compared));
    if (isHttp2 && compared < PREFACE.length) return;
    socket.removeListener("data", look);
    socket.setTimeout(0);
    socket.removeAllListeners("timeout");
    decide(isHttp2, seen);
  });
}

import type { ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";

/** How old connections may get. */
export interface ConnectionAgeOptions {
  /** When a connection is told to go, give or take 10 %. Milliseconds. Defaults to 600,000. */
  readonly maxConnectionAgeMs?: number;
  /** How long its calls may still take then. Milliseconds. Defaults to 30,000. */
  readonly maxConnectionAgeGraceMs?: number;
}

/** Lets connections go when they are old. */
export interface ConnectionAge {
  /** Watches a connection of HTTP/2 from its start. */
  watch(session: ServerHttp2Session): void;
  /** Notes the start of a connection. */
  begin(socket: Socket): void;
  /** True if this connection of HTTP/1.1 should end with its present answer. */
  isOld(socket: Socket): boolean;
}

/**
 * Bounds the age of connections (gRFC A9), so that a balancer of connections spreads callers over new instances too. The
 * age differs by 10 % at random, so that callers who came together do not come back together.
 */
export function connectionAge(
  options: ConnectionAgeOptions,
  clock: Clock,
  random: () => number,
): ConnectionAge {
  const { maxConnectionAgeMs = 600_000, maxConnectionAgeGraceMs = 30_000 } = options;
  const ageMs = () => maxConnectionAgeMs * (0.9 + 0.2 * random());
  const oldAtMs = new WeakMap<Socket, number>();
  return {
    begin: (socket) => void oldAtMs.set(socket, clock.now() + ageMs()),
    isOld: (socket) => clock.now() >= (oldAtMs.get(socket) ?? Number.POSITIVE_INFINITY),
    watch(session) {
      let cancel = clock.after(ageMs(), () => {
        cancel = clock.after(maxConnectionAgeGraceMs, () => session.destroy());
        retire(session);
      });
      session.once("close", () => cancel());
    },
  };
}

/**
 * Tells a peer to go, and closes the connection when its streams have ended. What the peer sent before it knew is above
 * the last stream that the GOAWAY names, so that it knows it as refused. The notice before that, of RFC 9113 (section
 * 6.8), would lose it in silence: once it has sent a GOAWAY of any number, nghttp2 ignores new streams.
 */
export function retire(session: ServerHttp2Session): void {
  if (!session.destroyed && !session.closed) session.close();
}

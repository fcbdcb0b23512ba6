import type { NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";

/** The broker, as a service knows it. It may be away at any time, at the start too. */
export interface Nats {
  /** Resolves with the connection once it stands; rejects only when the signal aborts. */
  online(signal: AbortSignal): Promise<Online>;
  /** Lets the connection go after what was sent has left. Safe to call twice. */
  close(): Promise<void>;
}

/** A connection that stands. */
export interface Online {
  readonly connection: NatsConnection;
  /** Aborts when this connection is lost: what was asked on it and not answered never will be. */
  readonly lost: AbortSignal;
}

/** Where the broker is. */
export interface NatsOptions {
  readonly url: string;
  /** Shown in the broker's list of connections. */
  readonly name: string;
  readonly log: Log;
}

const RECONNECT_MS = 250;

/**
 * Connects in the background and for ever. A new {@link Online} begins with each connection: the client drops what it
 * has not sent when it dials anew and leaves requests without an answer to their timeouts, so callers race their
 * requests with `lost`.
 */
export function openNats({ url, name, log }: NatsOptions): Nats {
  const closing = new AbortController();
  let state = Promise.withResolvers<Online>();
  let opened: NatsConnection | undefined;

  const running = run().catch((error) => log.error({ err: error }, "the NATS connection ended"));

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      opened = await dial();
      if (opened) await follow(opened);
    }
  }

  /** Until the client gives the connection up, which it also does by itself when it is refused again and again. */
  async function follow(connection: NatsConnection): Promise<void> {
    // Closed while it dialled.
    if (closing.signal.aborted) return connection.close();
    let lost = begin(connection);
    for await (const { type } of connection.status()) {
      if (type === "disconnect") {
        log.warn("NATS is away");
        state = Promise.withResolvers();
        lost.abort();
      } else if (type === "reconnect") {
        log.info("NATS is back");
        lost = begin(connection);
      }
    }
    if (!lost.signal.aborted) state = Promise.withResolvers();
    lost.abort();
  }

  /** A refused first dial is tried again like any later one. */
  async function dial(): Promise<NatsConnection | undefined> {
    for (let said = false; !closing.signal.aborted; said = true) {
      try {
        return await connect({
          ...serverOf(url),
          name,
          reconnect: true,
          maxReconnectAttempts: -1,
          reconnectTimeWait: RECONNECT_MS,
          ignoreClusterUpdates: false,
        });
      } catch (error) {
        if (!said) log.warn({ error: messageOf(error) }, "NATS is away; waiting for it");
        await systemClock.sleep(RECONNECT_MS, closing.signal);
      }
    }
    return undefined;
  }

  function begin(connection: NatsConnection): AbortController {
    const lost = new AbortController();
    state.resolve({ connection, lost: lost.signal });
    return lost;
  }

  return {
    online(signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      const { promise, resolve, reject } = Promise.withResolvers<Online>();
      const abort = () => reject(signal.reason);
      signal.addEventListener("abort", abort, { once: true });
      state.promise.then(resolve);
      return promise.finally(() => signal.removeEventListener("abort", abort));
    },
    async close() {
      closing.abort();
      await opened?.close();
      await running;
    },
  };
}

/** The server and what it is shown, as the client wants them: it takes no credentials from a URL. A name alone is a token. */
function serverOf(url: string): {
  servers: string;
  user?: string;
  pass?: string;
  token?: string;
  tls?: object;
} {
  const { protocol, host, username, password } = new URL(url);
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  return {
    servers: host,
    ...(protocol === "tls:" && { tls: {} }),
    ...(user && (pass ? { user, pass } : { token: user })),
  };
}

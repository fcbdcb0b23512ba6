import { readFileSync } from "node:fs";
import { createInbox, credsAuthenticator, type NatsConnection } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";

/** The broker, as a service knows it. It may be away at any time, at the start too. */
export interface Nats {
  /** Resolves with the connection once it stands; rejects only when the signal aborts. */
  online(signal: AbortSignal): Promise<Online>;
  /** Lets the connection go after what was sent has arrived, or after a second. Safe to call twice. */
  close(): Promise<void>;
}

/** A connection that stands. */
export interface Online {
  readonly connection: NatsConnection;
  /** Aborts when this connection is lost: what was asked on it and not answered never will be. */
  readonly lost: AbortSignal;
  /** How many nodes of the broker are to keep each stream and bucket, at least. */
  readonly replicas: number;
}

/** Where the broker is. */
export interface NatsOptions {
  /** A server, or several of a cluster with commas between them. */
  readonly url: string;
  /** A credentials file, as `nsc` writes it; read at each dial, so that a new one is used from then on. */
  readonly credsFile?: string;
  /** A file of the certificates that the server's own may be signed by; the system's if there is none. */
  readonly caFile?: string;
  /** What the subjects begin with on which answers come: a server can keep others from listening there. Defaults to `_INBOX`. */
  readonly inboxPrefix?: string;
  /** How many nodes of the broker are to keep each stream and bucket, at least. Defaults to 1. */
  readonly replicas?: number;
  /** Shown in the broker's list of connections. */
  readonly name: string;
  readonly log: Log;
}

const RECONNECT_MS = 250;
const ARRIVE_WITHIN_MS = 1_000;

/**
 * Connects in the background and for ever. A new {@link Online} begins with each connection: the client drops what it
 * has not sent when it dials anew and leaves requests without an answer to their timeouts, so callers race their
 * requests with `lost`.
 */
export function openNats(options: NatsOptions): Nats {
  const { name, log, inboxPrefix, replicas = 1 } = options;
  const closing = new AbortController();
  let state = Promise.withResolvers<Online>();
  let opened: NatsConnection | undefined;
  /** Of the connection that stands, or of the last one. */
  let lostOfLast = AbortSignal.abort();

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
          ...serverOf(options),
          name,
          ...(inboxPrefix && { inboxPrefix }),
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
    lostOfLast = lost.signal;
    state.resolve({ connection, lost: lost.signal, replicas });
    return lost;
  }

  /** The client's own close drops what the network has not taken yet: answers to messages, for one. */
  async function untilArrived(connection: NatsConnection, lost: AbortSignal): Promise<void> {
    if (lost.aborted) return;
    const giveUp = AbortSignal.any([lost, AbortSignal.timeout(ARRIVE_WITHIN_MS)]);
    await raceSignal(connection.flush(), giveUp).catch(() => {});
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
      if (opened) await untilArrived(opened, lostOfLast);
      await opened?.close();
      await running;
    },
  };
}

/** A subject of one's own, on which the broker lets this connection listen. */
export function inboxOf(connection: NatsConnection): string {
  // The client keeps the prefix to itself, and asks for it again here.
  const { options } = connection as { options?: { inboxPrefix?: string } };
  return createInbox(options?.inboxPrefix);
}

/** The servers and what they are shown, as the client wants them: it takes no credentials from a URL. A name alone is a token. */
function serverOf({ url, credsFile, caFile }: NatsOptions) {
  const urls = url.split(",").map((each) => new URL(each));
  const { username, password } = urls[0] as URL;
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  const isEncrypted = caFile !== undefined || urls.some(({ protocol }) => protocol === "tls:");
  return {
    servers: urls.map(({ host }) => host),
    ...(isEncrypted && { tls: caFile === undefined ? {} : { caFile } }),
    ...(user && (pass ? { user, pass } : { token: user })),
    ...(credsFile !== undefined && { authenticator: credsAuthenticator(readFileSync(credsFile)) }),
  };
}

import type { Duplex } from "node:stream";
import { type Clock, systemClock } from "../core/clock.ts";
import { ClientConnection, type ClientConnectionOptions } from "./client-connection.ts";
import { ErrorCode } from "./error-code.ts";
import { StreamError } from "./http2-error.ts";
import { Stream } from "./stream.ts";

/** A stream that begins as soon as there is a connection for it. */
export abstract class ClientStream extends Stream {
  /** Opens it on this connection, which takes streams, and sends what there is. */
  abstract begin(connection: ClientConnection): void;
}

/** What a client needs. */
export interface ClientOptions extends ClientConnectionOptions {
  /** Opens a socket, which says "connect" or "secureConnect" (see `connected`) when it is there. */
  readonly connect: () => Duplex;
  /** The event that says so. Defaults to "connect". */
  readonly connected?: "connect" | "secureConnect";
  /** How long that may take. Milliseconds. Defaults to 10,000. */
  readonly connectWithinMs?: number;
  /** How many streams may wait for a connection, or for the server to take more. Defaults to 10,000. */
  readonly maxWaiting?: number;
  /** A number from 0 to below 1. Defaults to `Math.random`. */
  readonly random?: () => number;
}

// As gRPC's connection backoff has it, but for the first step and the last, which fit a mesh where servers come back soon:
// the first is over before a call gives up that finds nobody (60 ms), since all may restart one right after the other.
const BACKOFF_MS = 40;
const BACKOFF_FACTOR = 1.6;
const BACKOFF_JITTER = 0.2;
const MAX_BACKOFF_MS = 2_000;

/**
 * The way to one server. It has one connection at a time, opened by the first stream that needs it, and beside it those
 * that end because their server is going away. Streams that wait begin in the order of their arrival. After a connection
 * could not be opened, none is tried for a while, and streams fail at once with NOT_SENT (gRPC's connection backoff).
 */
export class Client {
  readonly #options: ClientOptions;
  readonly #clock: Clock;
  readonly #connections = new Set<ClientConnection>();
  readonly #waiting = new Set<ClientStream>();
  #current: ClientConnection | undefined;
  #connecting: Duplex | undefined;
  #failures = 0;
  #retryAtMs = 0;
  #lastError: Error | undefined;
  #isClosed = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Begins a stream, now or as soon as it can; a stream that cannot begin is told so by its `onFailure`. */
  start(stream: ClientStream): void {
    const current = this.#current;
    if (current?.takesStreams && this.#waiting.size === 0) {
      stream.begin(current);
      return;
    }
    this.#wait(stream);
  }

  #wait(stream: ClientStream): void {
    if (this.#isClosed) {
      notSent(stream, "the client was closed");
      return;
    }
    if (!this.#current && !this.#connecting) {
      if (this.#clock.now() < this.#retryAtMs) {
        notSent(stream, `no connection: ${this.#lastError?.message}`, this.#lastError);
        return;
      }
      this.#waiting.add(stream);
      this.#open();
      return;
    }
    if (this.#waiting.size >= (this.#options.maxWaiting ?? 10_000)) {
      notSent(stream, "too many calls wait for a connection");
      return;
    }
    this.#waiting.add(stream);
  }

  /** Nobody waits for this stream to begin any more. */
  forget(stream: ClientStream): void {
    this.#waiting.delete(stream);
  }

  #open(): void {
    const { connect, connected = "connect", connectWithinMs = 10_000 } = this.#options;
    let socket: Duplex;
    try {
      socket = connect();
    } catch (error) {
      this.#failed(error as Error);
      return;
    }
    this.#connecting = socket;
    const fail = (error: Error | undefined) => {
      settled();
      socket.destroy();
      this.#failed(error ?? new Error("the connection was closed before it was open"));
    };
    const stop = this.#clock.after(connectWithinMs, () => fail(new Error("the connection took too long")));
    const onError = (error: Error) => fail(error);
    const onClose = () => fail(undefined);
    const onConnect = () => {
      settled();
      if (this.#isClosed) socket.destroy();
      else this.#opened(socket);
    };
    const settled = () => {
      stop();
      this.#connecting = undefined;
      socket.off("error", onError);
      socket.off("close", onClose);
      socket.off(connected, onConnect);
      // Of a socket that was given up.
      socket.on("error", () => {});
    };
    socket.once("error", onError);
    socket.once("close", onClose);
    socket.once(connected, onConnect);
  }

  #opened(socket: Duplex): void {
    const connection = new ClientConnection(socket, this.#options);
    connection.onChange = () => this.#changed(connection);
    connection.onClose = () => {
      this.#connections.delete(connection);
      if (connection === this.#current) this.#current = undefined;
      if (!connection.isReady) this.#unheard();
      this.#changed(connection);
    };
    this.#connections.add(connection);
    this.#current = connection;
    this.#beginWaiting();
  }

  /** Who takes connections and closes them unheard is not there either; once, it may have died just then. */
  #unheard(): void {
    if (this.#failures > 0)
      this.#failed(new Error("the server closed the connection before it said anything"));
    else this.#failures = 1;
  }

  #failed(error: Error): void {
    this.#lastError = error;
    const base = Math.min(BACKOFF_MS * BACKOFF_FACTOR ** this.#failures++, MAX_BACKOFF_MS);
    const { random = Math.random } = this.#options;
    this.#retryAtMs = this.#clock.now() + base * (1 + BACKOFF_JITTER * (2 * random() - 1));
    this.#failWaiting(`no connection: ${error.message}`, error);
  }

  #failWaiting(message: string, error?: Error): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const stream of waiting) notSent(stream, message, error);
  }

  #changed(connection: ClientConnection): void {
    if (connection.isReady) this.#failures = 0;
    if (connection === this.#current && connection.isGoingAway) this.#current = undefined;
    if (this.#waiting.size === 0 || this.#isClosed) return;
    if (this.#current) this.#beginWaiting();
    else if (!this.#connecting) this.#open();
  }

  #beginWaiting(): void {
    for (const stream of this.#waiting) {
      const current = this.#current;
      if (!current?.takesStreams) return;
      this.#waiting.delete(stream);
      stream.begin(current);
    }
  }

  /** Ends what runs, and begins nothing more. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#current = undefined;
    this.#connecting?.destroy();
    this.#failWaiting("the client was closed");
    for (const connection of this.#connections) connection.destroy();
  }
}

function notSent(stream: ClientStream, message: string, cause?: Error): void {
  stream.onFailure(new StreamError(ErrorCode.CONNECT_ERROR, message, "NOT_SENT", cause));
}

import type { Item } from "./contract.ts";

/** Where everything listens. */
export { HOST } from "../calls/peer.ts";

/** How many calls at a time each client with a bulkhead lets through: more than any case has, because refusals are not what is measured. */
export const BULKHEAD = 1_024;

/** A stream on which each item is answered with the same. */
export interface Chat {
  /** Sends an item and resolves with its answer. One at a time. */
  say(item: Item): Promise<Item>;
  /** Ends the stream. */
  close(): void;
}

/** The calls that a peer can make. It is left out of the tables of those that it lacks. */
export interface Client {
  /** A unary call with a deadline of `TIMEOUT_MS`: answers with the item that it is given. */
  echo(item: Item): Promise<Item>;
  /** A server stream of so many small items. Resolves with how many came. */
  list?(count: number): Promise<number>;
  /** Opens a stream both ways. It has no deadline. */
  chat?(): Chat;
  /** Lets the connection go. Lacking where a client is more than its connections. */
  close?(): void | Promise<void>;
}

/** What the files of `peers/data-plane/` export, and those of `weft/` that are measured beside them. */
export interface Peer {
  /** Serves on this port of 127.0.0.1 until the process ends. */
  startServer(port: number): Promise<unknown>;
  /** Opens a connection to what serves there; or to several, for a client that balances. */
  openClient(port: number, ...more: number[]): Promise<Client>;
}

import type { Interceptor, Transport } from "@connectrpc/connect";

/** A Connect transport that can be closed. */
export interface ClosableTransport extends Transport {
  /** Lets its connections go. Safe to call twice. */
  close(): void;
}

/** What a transport to one endpoint needs to know. */
export interface TransportOptions {
  readonly interceptors: Interceptor[];
  /** The largest message that is taken from the other side, in bytes. */
  readonly maxMessageBytes: number;
}

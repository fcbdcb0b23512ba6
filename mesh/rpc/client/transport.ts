import type { Interceptor, Transport } from "@connectrpc/connect";
import type { abortKey } from "../../resilience/call.ts";

/** A Connect transport that can be closed. */
export interface ClosableTransport extends Transport {
  /** True if its unary calls look for {@link abortKey} and then need no signal. */
  readonly needsNoSignal?: boolean;
  /** Lets its connections go. Safe to call twice. */
  close(): void;
}

/** What a transport to one endpoint needs to know. */
export interface TransportOptions {
  readonly interceptors: Interceptor[];
  /** The largest message that is taken from the other side, in bytes. */
  readonly maxMessageBytes: number;
}

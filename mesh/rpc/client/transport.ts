import type { ContextValues, Interceptor, Transport } from "@connectrpc/connect";
import type { LazyAbort } from "../../core/signal.ts";

/** A Connect transport that can be closed. */
export interface ClosableTransport extends Transport {
  /** True if its unary calls ask `endingOf`, and then need no signal. */
  readonly needsNoSignal?: boolean;
  /** Lets its connections go. Safe to call twice. */
  close(): void;
}

/** What a transport to one endpoint needs to know. */
export interface TransportOptions {
  readonly interceptors: Interceptor[];
  /** The largest message that is taken from the other side, in bytes. */
  readonly maxMessageBytes: number;
  /** Ends a unary call in place of a signal and a timeout, for a caller that watches both itself. */
  readonly endingOf?: (values: ContextValues) => LazyAbort | undefined;
}

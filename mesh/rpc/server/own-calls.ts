import {
  type ConnectRouter,
  createRouterTransport,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { MAX_TIMER_MS } from "../../core/clock.ts";

/** What calls within a process pass. */
export interface OwnCallsOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  /** The largest message, in bytes. */
  readonly maxMessageBytes: number;
}

/**
 * A way to the services of this very process, through the layers of its server. When a call's time is up, those layers alone
 * say so: a timer of the caller beside theirs would now and then be the first, and knows no reasons.
 */
export function ownCalls({ routes, interceptors, maxMessageBytes }: OwnCallsOptions): Transport {
  const limits = { readMaxBytes: maxMessageBytes, writeMaxBytes: maxMessageBytes };
  const way = createRouterTransport(routes, { router: { interceptors, ...limits }, transport: limits });
  const withTimeout = (header: Parameters<Transport["unary"]>[3], timeoutMs: number | undefined) => {
    const headers = new Headers(header);
    if (timeoutMs !== undefined)
      headers.set("connect-timeout-ms", String(Math.min(Math.floor(timeoutMs), MAX_TIMER_MS)));
    return headers;
  };
  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      way.unary(method, signal, undefined, withTimeout(header, timeoutMs), input, values),
    stream: (method, signal, timeoutMs, header, input, values) =>
      way.stream(method, signal, undefined, withTimeout(header, timeoutMs), input, values),
  };
}

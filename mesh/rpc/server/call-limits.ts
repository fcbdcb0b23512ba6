import type { Interceptor } from "@connectrpc/connect";
import type { RequestHandler } from "./port.ts";

/** Bounds how often each caller calls. */
export interface CallLimits {
  /** Calls `next` for a request that may go on, and answers any other, its body unread. */
  admit(...args: [...Parameters<RequestHandler>, next: () => void]): void;
  /** Bounds what is known only of a call: its method, and who has proved to make it. */
  readonly interceptor: Interceptor;
}

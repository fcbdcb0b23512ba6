import { keptStore, type Store } from "./store.ts";

/** An order that was sent and not yet answered. Sent again as it is, it is the same order. */
export interface OrderAttempt {
  readonly requestId: string;
  readonly customerId: string;
  readonly lines: readonly { readonly productId: string; readonly quantity: number }[];
  readonly paymentToken: string;
}

/** The order of which nobody knows whether it was placed; it outlives a reload, so that the next try is not another order. */
export function openOrderAttempt(storage: Storage): Store<OrderAttempt | undefined> {
  return keptStore(storage, "weft.order-attempt", parse, undefined);
}

function parse(kept: unknown): OrderAttempt | undefined {
  const { requestId, customerId, lines, paymentToken } = kept as Partial<OrderAttempt>;
  if (!requestId || !customerId || !Array.isArray(lines) || !paymentToken) return undefined;
  return { requestId, customerId, lines, paymentToken };
}

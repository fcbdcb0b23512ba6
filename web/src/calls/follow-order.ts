import { Code, ConnectError } from "@connectrpc/connect";
import { type Order, OrderState } from "../../../gen/shop/order/v1/order_pb.ts";
import type { WatchOrderResponse } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { backoffMs } from "../../../mesh/resilience/backoff.ts";

/** How an order is followed, and who is told. */
export interface FollowOptions {
  /** Opens WatchOrder. */
  readonly watch: (signal: AbortSignal) => AsyncIterable<WatchOrderResponse>;
  readonly signal: AbortSignal;
  readonly onOrder: (order: Order) => void;
  /** The connection was lost, and will be looked for again. */
  readonly onLost: () => void;
  /** Waits; may return sooner when there is hope. */
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

const BACKOFF = { initialMs: 250, maxMs: 5_000, multiplier: 2, jitter: "equal" } as const;

/** True if nothing more will become of the order. */
export function isFinal({ state }: Pick<Order, "state">): boolean {
  return state !== OrderState.PENDING && state !== OrderState.UNSPECIFIED;
}

/**
 * Follows an order until its state is final or the signal aborts. A stream that breaks, or ends before, is opened again:
 * each begins with the order as it is, so that nothing is missed. Rejects if the order cannot be watched at all.
 */
export async function followOrder({ watch, signal, onOrder, onLost, sleep }: FollowOptions): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      for await (const { order } of watch(signal)) {
        failures = 0;
        if (!order) continue;
        onOrder(order);
        if (isFinal(order)) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (isForGood(error)) throw error;
    }
    failures++;
    onLost();
    await sleep(backoffMs(BACKOFF, failures, Math.random), signal);
  }
}

const FOR_GOOD: readonly Code[] = [
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.Unimplemented,
];

function isForGood(error: unknown): boolean {
  return FOR_GOOD.includes(ConnectError.from(error).code);
}

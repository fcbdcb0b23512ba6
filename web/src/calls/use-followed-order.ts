import { createClient } from "@connectrpc/connect";
import { useTransport } from "@connectrpc/connect-query";
import { useEffect, useState } from "react";
import type { Order } from "../../../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { followOrder } from "./follow-order.ts";

/** An order as it was last seen. */
export interface FollowedOrder {
  /** Undefined until it was seen. */
  readonly order?: Order;
  /** True while the connection is being looked for. */
  readonly isLost: boolean;
  /** Why the order cannot be followed. */
  readonly error?: unknown;
}

const NOTHING_YET: FollowedOrder = { isLost: false };

/** Follows an order by WatchOrder for as long as the component is there and wants it. */
export function useFollowedOrder(orderId: string, isWanted: boolean): FollowedOrder {
  const transport = useTransport();
  const [followed, setFollowed] = useState(NOTHING_YET);
  useEffect(() => {
    if (!isWanted) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    const client = createClient(OrderService, transport);
    followOrder({
      // 0 is no time at all: an order may take long, and the contract says how long the stream may be silent.
      watch: () => client.watchOrder({ orderId }, { signal, timeoutMs: 0 }),
      signal,
      onOrder: (order) => setFollowed({ order, isLost: false }),
      onLost: () => setFollowed((before) => ({ ...before, isLost: true })),
      sleep: sleepOrOnline,
    }).catch((error: unknown) => setFollowed((before) => ({ ...before, isLost: false, error })));
    return () => leaving.abort();
  }, [transport, orderId, isWanted]);
  return followed;
}

/** Waits; no longer once the browser has found a network again. */
function sleepOrOnline(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}

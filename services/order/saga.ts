import { OrderError, OrderErrorSchema } from "../../gen/shop/order/v1/order_error_pb.ts";
import { reasonName } from "../../mesh/contract/reasons.ts";
import type { Outcome, Rule, Saga } from "../../mesh/events/saga.ts";
import type { Changes } from "../../mesh/store/watch.ts";
import type { Clients } from "./clients.ts";
import { orderEnded } from "./events.ts";
import { type Order, rejectionFor } from "./order.ts";
import { endOrder } from "./store.ts";

/** How far an order is. */
export type SagaState =
  | "PLACED"
  | "RESERVED"
  | "AUTHORIZED"
  | "CONFIRMED"
  | "COMPENSATING"
  | "REJECTED"
  | "CANCELLED";

const TIMEOUT = reasonName(OrderErrorSchema, OrderError.TIMEOUT);

/** The saga's reason when the customer called the order off. */
export const BY_CUSTOMER = "CANCELLED_BY_CUSTOMER";

const compensate = (reason: string) => ({ to: "COMPENSATING", reason }) as const;

/**
 * What becomes of an order. A state is recorded before its step is tried, so that a step which timed out after taking
 * effect is undone too. Past AUTHORIZED there is no way back: what is paid for is sold.
 */
export const rules: Readonly<Record<SagaState, Rule<SagaState>>> = {
  PLACED: {
    does: ["reserveStock"],
    withinMs: 30_000,
    done: () => ({ to: "RESERVED" }),
    // Also when nothing was reserved: an earlier attempt may still be on its way, and must find the release.
    refused: (reason) => compensate(rejectionFor(reason)),
    overdue: () => compensate(TIMEOUT),
    cancel: compensate,
  },
  RESERVED: {
    does: ["authorizePayment"],
    withinMs: 60_000,
    done: () => ({ to: "AUTHORIZED" }),
    refused: (reason) => compensate(rejectionFor(reason)),
    overdue: () => compensate(TIMEOUT),
    cancel: compensate,
  },
  AUTHORIZED: {
    does: ["commitStock", "capturePayment"],
    done: () => ({ to: "CONFIRMED" }),
  },
  COMPENSATING: {
    does: ["voidPayment", "releaseStock"],
    compensates: true,
    done: (reason) =>
      reason === BY_CUSTOMER ? { to: "CANCELLED" } : { to: "REJECTED", reason: reason ?? TIMEOUT },
  },
  CONFIRMED: {},
  REJECTED: {},
  CANCELLED: {},
};

/** The saga of an order, on these participants. */
export function orderSaga(
  clients: Clients,
  read: (orderId: string) => Promise<Order>,
  changes: Changes,
): Saga<SagaState> {
  const actions: Record<string, (orderId: string) => Promise<Outcome>> = {
    reserveStock: async (orderId) => clients.reserveStock(await read(orderId)),
    authorizePayment: async (orderId) => clients.authorizePayment(await read(orderId)),
    commitStock: clients.commitStock,
    capturePayment: clients.capturePayment,
    voidPayment: clients.voidPayment,
    releaseStock: clients.releaseStock,
  };
  return {
    table: "order_saga",
    key: "order_id",
    rules,
    act(name, orderId) {
      const action = actions[name];
      if (!action) throw new Error(`the saga has no action ${name}`);
      return action(orderId);
    },
    async entered(tx, orderId, state, reason) {
      if (state !== "CONFIRMED" && state !== "REJECTED" && state !== "CANCELLED") return;
      const order = await endOrder(tx, orderId, state, state === "REJECTED" ? (reason ?? TIMEOUT) : "");
      await orderEnded(tx, order);
      tx.afterCommit(() => changes.announce(orderId));
    },
  };
}

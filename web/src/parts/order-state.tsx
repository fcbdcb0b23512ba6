import { type Order, OrderState } from "../../../gen/shop/order/v1/order_pb.ts";

const NAMES: Readonly<Record<number, string>> = {
  [OrderState.PENDING]: "On its way",
  [OrderState.CONFIRMED]: "Confirmed",
  [OrderState.REJECTED]: "Rejected",
  [OrderState.CANCELLED]: "Cancelled",
};

/** The state of an order in a word. */
export function OrderStateMark({ state }: Pick<Order, "state">) {
  return <span className={`state state-${state}`}>{NAMES[state] ?? "Unknown"}</span>;
}

const WHY_REJECTED: Readonly<Record<string, string>> = {
  OUT_OF_STOCK: "There are fewer pieces than you ordered. Order fewer, or something else.",
  PAYMENT_DECLINED: "The card was declined. Order again with another one.",
  TIMEOUT: "Stock or payment did not answer in time. Order again.",
  REFUSED: "Stock or payment could not take the order as it is.",
};

/** What became of an order, and what that means for the customer. */
export function stateInWords({ state, rejectionReason }: Pick<Order, "state" | "rejectionReason">): string {
  switch (state) {
    case OrderState.PENDING:
      return "We have your order, and are seeing to stock and payment. You may stay and watch, or come back later.";
    case OrderState.CONFIRMED:
      return "It is sold and paid. A mail is on its way to you.";
    case OrderState.REJECTED: {
      const why = WHY_REJECTED[rejectionReason] ?? "It could not be fulfilled.";
      return `${why} Nothing was charged.`;
    }
    case OrderState.CANCELLED:
      return "You have called it off. Nothing was charged.";
    default:
      return "This page does not know this state yet. Reload it.";
  }
}

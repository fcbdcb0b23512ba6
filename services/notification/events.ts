import type { Money } from "../../gen/google/type/money_pb.ts";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { SendNotificationSchema } from "../../gen/shop/notification/v1/notification_command_pb.ts";
import {
  NotificationFailedSchema,
  NotificationSentSchema,
} from "../../gen/shop/notification/v1/notification_event_pb.ts";
import {
  OrderCancelledSchema,
  OrderConfirmedSchema,
  OrderRejectedSchema,
} from "../../gen/shop/order/v1/order_event_pb.ts";
import { PaymentRefundedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { PermanentError } from "../../mesh/core/errors.ts";
import { toCents } from "../../mesh/core/money.ts";
import { on } from "../../mesh/events/handlers.ts";
import { publish } from "../../mesh/events/publish.ts";
import type { Saga } from "../../mesh/events/saga.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { fromTemplate, toTemplate } from "./messages.ts";
import { type Data, idOf, type State, type StoredNotification, type TemplateName } from "./notification.ts";
import { notify } from "./notify.ts";
import { keepCustomer } from "./store.ts";

/** Announces what became of a notification. */
export function notificationEnded(tx: Tx, notification: StoredNotification): Promise<void> {
  const { notificationId, customerId, failureReason: reason, state } = notification;
  const about = { notificationId, customerId, template: toTemplate(notification.template) };
  return state === "SENT"
    ? publish(tx, NotificationSentSchema, about)
    : publish(tx, NotificationFailedSchema, { ...about, reason });
}

/** Writes to the customer when an order has ended. */
export function orderHandlers(saga: Saga<State>) {
  // An order ends once, so its id and how it ended name the mail.
  const tell = async (tx: Tx, customerId: string, template: TemplateName, data: Data) => {
    const notificationId = idOf(customerId, `${template}:${data.order_id}`);
    await notify(tx, saga, { notificationId, customerId, template, data });
  };
  return [
    on(OrderConfirmedSchema, (tx, { orderId, customerId, total }) => {
      if (!total) throw new PermanentError("a confirmed order has a total");
      return tell(tx, customerId, "ORDER_CONFIRMED", { order_id: orderId, total: inWords(total) });
    }),
    on(OrderRejectedSchema, (tx, { orderId, customerId, reason }) =>
      tell(tx, customerId, "ORDER_REJECTED", { order_id: orderId, reason }),
    ),
    on(OrderCancelledSchema, (tx, { orderId, customerId }) =>
      tell(tx, customerId, "ORDER_CANCELLED", { order_id: orderId }),
    ),
  ];
}

/** Writes to the customer when money was paid back. */
export function paymentHandlers(saga: Saga<State>) {
  return [
    on(PaymentRefundedSchema, async (tx, { orderId, customerId, amount, refundedTotal }) => {
      if (!amount || !refundedTotal) throw new PermanentError("a refund has an amount and a total");
      // An order may be refunded in parts; how much it is in all tells them apart.
      const template = "PAYMENT_REFUNDED";
      const notificationId = idOf(customerId, `${template}:${orderId}:${toCents(refundedTotal)}`);
      const data = { order_id: orderId, amount: inWords(amount) };
      await notify(tx, saga, { notificationId, customerId, template, data });
    }),
  ];
}

/** Keeps the replica of the customers. */
export const customerHandlers = [
  on(CustomerRegisteredSchema, (tx, { customerId, email, displayName }) =>
    keepCustomer(tx, { customerId, email, displayName }),
  ),
];

/** Does what others ask for. */
export function commandHandlers(saga: Saga<State>) {
  return [
    on(SendNotificationSchema, async (tx, { customerId, template, data, requestId }) => {
      const name = fromTemplate(template);
      if (!name) throw new PermanentError(`the template ${template} is not known here`);
      await notify(tx, saga, {
        notificationId: idOf(customerId, requestId),
        customerId,
        template: name,
        data,
      });
    }),
  ];
}

/** An amount as a mail writes it, such as 12.99 EUR. */
function inWords(amount: Money): string {
  return `${(toCents(amount) / 100).toFixed(2)} ${amount.currencyCode}`;
}

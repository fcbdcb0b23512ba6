import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Money } from "../../gen/google/type/money_pb.ts";
import { PaymentService, RefundPaymentResponseSchema } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { assertOwner } from "../../mesh/auth/owner.ts";
import { toCents } from "../../mesh/core/money.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { authorize } from "./authorize.ts";
import { toMessage } from "./messages.ts";
import { captured, paymentNotFound, refunded } from "./payment.ts";
import type { PaymentProvider } from "./provider.ts";
import { findPayment } from "./store.ts";
import { change, letGo } from "./transitions.ts";

/** The RPCs of PaymentService. */
export function paymentService(sql: Sql, provider: PaymentProvider): ServiceImpl<typeof PaymentService> {
  return {
    async authorizePayment({ orderId, customerId, amount, paymentToken }) {
      const wanted = { orderId, customerId, amountCents: centsOf(amount) };
      return { payment: toMessage(await authorize(sql, provider, wanted, paymentToken)) };
    },

    async capturePayment({ orderId }) {
      return { payment: toMessage(await transaction(sql, (tx) => change(tx, orderId, captured))) };
    },

    async voidPayment({ orderId }) {
      const payment = await transaction(sql, (tx) => letGo(tx, orderId));
      // After it is recorded, and before it is answered: an authorisation under way finds the hold let go, and a caller
      // that gets no answer asks again.
      if (payment.state === "VOIDED") await provider.release(orderId);
      return { payment: toMessage(payment) };
    },

    refundPayment(request) {
      const { orderId, amount, requestId } = request;
      const cents = centsOf(amount);
      return transaction(sql, (tx) =>
        once(tx, PaymentService.method.refundPayment, { caller: "", requestId, request }, async () => {
          const payment = await change(tx, orderId, (before) => refunded(before, cents));
          return create(RefundPaymentResponseSchema, { payment: toMessage(payment) });
        }),
      );
    },

    async getPayment({ orderId }) {
      const payment = await findPayment(sql, orderId);
      if (!payment) throw paymentNotFound(orderId);
      assertOwner(payment.customerId, () => paymentNotFound(orderId));
      return { payment: toMessage(payment) };
    },
  };
}

function centsOf(amount: Money | undefined): number {
  if (!amount) throw new Error("a request that passed its rules has an amount");
  return toCents(amount);
}

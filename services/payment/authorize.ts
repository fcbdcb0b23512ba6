import { currentWork } from "../../mesh/core/work.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { decided, heldOrCharged, type StoredPayment, type Wanted } from "./payment.ts";
import type { PaymentProvider } from "./provider.ts";
import { begin, change } from "./transitions.ts";

/**
 * Holds an amount: records that it begins, asks the provider while no transaction is open, records the answer. Cut off
 * anywhere, a repeated call goes on from what is recorded, and the provider tells repeated calls by the order. A payment
 * that was voided meanwhile stays voided.
 */
export async function authorize(
  sql: Sql,
  provider: PaymentProvider,
  wanted: Wanted,
  paymentToken: string,
): Promise<StoredPayment> {
  const begun = await transaction(sql, (tx) => begin(tx, wanted));
  if (begun.state !== "AUTHORIZING") return heldOrCharged(begun);
  const { orderId, amountCents } = wanted;
  const hold = { key: orderId, amountCents, paymentToken };
  const outcome = await provider.authorize(hold, currentWork()?.signal);
  // Refused only after the transaction: that it was declined must stay recorded.
  return heldOrCharged(
    await transaction(sql, (tx) => change(tx, orderId, (payment) => decided(payment, outcome))),
  );
}

import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { publish } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Customer } from "./customer.ts";

/** Announces a new customer. */
export function customerRegistered(tx: Tx, { customerId, email, displayName }: Customer): Promise<void> {
  return publish(tx, CustomerRegisteredSchema, { customerId, email, displayName });
}

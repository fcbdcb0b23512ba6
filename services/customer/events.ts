import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { SendNotificationSchema } from "../../gen/shop/notification/v1/notification_command_pb.ts";
import { Template } from "../../gen/shop/notification/v1/notification_pb.ts";
import { publish, send } from "../../mesh/events/publish.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Customer } from "./customer.ts";

/** Announces a new customer, and asks for a mail that says welcome. */
export async function customerRegistered(tx: Tx, customer: Customer): Promise<void> {
  const { customerId, email, displayName } = customer;
  await publish(tx, CustomerRegisteredSchema, { customerId, email, displayName });
  await send(tx, SendNotificationSchema, { customerId, template: Template.WELCOME, requestId: "welcome" });
}

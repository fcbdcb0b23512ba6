import {
  NotificationError,
  NotificationErrorSchema,
} from "../../gen/shop/notification/v1/notification_error_pb.ts";
import { reasonName, refusals } from "../../mesh/contract/reasons.ts";
import { derivedId, newId } from "../../mesh/core/ids.ts";

/** The refusals of this service. */
export const refuse = refusals<NotificationError>(NotificationErrorSchema);

/** What a notification says. */
export type TemplateName =
  | "WELCOME"
  | "ORDER_CONFIRMED"
  | "ORDER_REJECTED"
  | "ORDER_CANCELLED"
  | "PAYMENT_REFUNDED";

/** What became of a notification. */
export type State = "PENDING" | "SENT" | "FAILED";

/** What a template is filled with. */
export type Data = Readonly<Record<string, string>>;

/** A mail that somebody wants a customer to get. */
export interface Notification {
  readonly notificationId: string;
  readonly customerId: string;
  readonly template: TemplateName;
  readonly data: Data;
}

/** A notification as it is kept. */
export interface StoredNotification extends Notification {
  readonly state: State;
  readonly failureReason: string;
  readonly createdAt: Date;
  readonly sentAt: Date | undefined;
}

/** A customer as far as this service needs to know: a replica. */
export interface Customer {
  readonly customerId: string;
  readonly email: string;
  readonly displayName: string;
}

/** The reasons for which a notification fails. */
export const FAILURE = {
  dataMissing: reasonName(NotificationErrorSchema, NotificationError.DATA_MISSING),
  mailRefused: reasonName(NotificationErrorSchema, NotificationError.MAIL_REFUSED),
  timeout: reasonName(NotificationErrorSchema, NotificationError.TIMEOUT),
} as const;

/** The id of what a customer is told under a request id: the same again. Without a request id, a new one. */
export function idOf(customerId: string, requestId: string): string {
  return requestId === "" ? newId() : derivedId("notification", customerId, requestId);
}

/** The refusal of an id that names no customer, as far as is known here yet. */
export function customerNotFound(customerId: string) {
  const metadata = { customer_id: customerId };
  return refuse(NotificationError.CUSTOMER_NOT_FOUND, `there is no customer ${customerId}`, { metadata });
}

/** The refusal of a notification whose template cannot be filled. */
export function dataMissing(template: TemplateName, missing: readonly string[]) {
  const metadata = { template, missing: missing.join() };
  return refuse(NotificationError.DATA_MISSING, `the template needs ${missing.join(", ")}`, { metadata });
}

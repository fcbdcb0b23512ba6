import type { Queries } from "../../mesh/store/connect.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type {
  Customer,
  Data,
  Notification,
  State,
  StoredNotification,
  TemplateName,
} from "./notification.ts";

interface NotificationRow {
  readonly notification_id: string;
  readonly customer_id: string;
  readonly template: TemplateName;
  readonly data: Data;
  readonly state: State;
  readonly failure_reason: string;
  readonly created_at: Date;
  readonly sent_at: Date | null;
}

function columns(sql: Queries) {
  return sql`notification_id, customer_id, template, data, state, failure_reason, created_at, sent_at`;
}

function toNotification(row: NotificationRow): StoredNotification {
  return {
    notificationId: row.notification_id,
    customerId: row.customer_id,
    template: row.template,
    data: row.data,
    state: row.state,
    failureReason: row.failure_reason,
    createdAt: row.created_at,
    sentAt: row.sent_at ?? undefined,
  };
}

/** Keeps a new notification. Undefined if there is one with its id: then that one stays. */
export async function insertNotification(
  tx: Tx,
  { notificationId, customerId, template, data }: Notification,
): Promise<StoredNotification | undefined> {
  const [row] = await tx<NotificationRow[]>`
    INSERT INTO notification (notification_id, customer_id, template, data)
    VALUES (${notificationId}, ${customerId}, ${template}, ${JSON.stringify(data)}::text::jsonb)
    ON CONFLICT DO NOTHING RETURNING ${columns(tx)}`;
  return row && toNotification(row);
}

/** The notification with this id; undefined if there is none. */
export async function findNotification(
  sql: Queries,
  notificationId: string,
): Promise<StoredNotification | undefined> {
  const [row] = await sql<NotificationRow[]>`
    SELECT ${columns(sql)} FROM notification WHERE notification_id = ${notificationId}`;
  return row && toNotification(row);
}

/** A customer's notifications, newest first. `after` names one: then those that stand after it in the list. */
export async function listNotifications(
  sql: Queries,
  { customerId, after, limit }: { customerId: string; after: string | undefined; limit: number },
): Promise<StoredNotification[]> {
  const older =
    after === undefined
      ? sql``
      : sql`AND (created_at, notification_id) <
              (SELECT created_at, notification_id FROM notification WHERE notification_id = ${after})`;
  const rows = await sql<NotificationRow[]>`
    SELECT ${columns(sql)} FROM notification WHERE customer_id = ${customerId} ${older}
    ORDER BY created_at DESC, notification_id DESC LIMIT ${limit}`;
  return rows.map(toNotification);
}

/** Records how a notification ended. */
export async function endNotification(
  tx: Tx,
  notificationId: string,
  state: Exclude<State, "PENDING">,
  reason: string | undefined,
): Promise<StoredNotification> {
  const [row] = await tx<NotificationRow[]>`
    UPDATE notification
    SET state = ${state}, failure_reason = ${reason ?? ""}, sent_at = ${state === "SENT" ? tx`now()` : null}
    WHERE notification_id = ${notificationId} RETURNING ${columns(tx)}`;
  if (!row) throw new Error(`the notification ${notificationId} is gone`);
  return toNotification(row);
}

/** A customer, as far as the event has come; undefined if it has not. */
export async function findCustomer(sql: Queries, customerId: string): Promise<Customer | undefined> {
  const [row] = await sql<{ email: string; display_name: string }[]>`
    SELECT email, display_name FROM customer WHERE customer_id = ${customerId}`;
  return row && { customerId, email: row.email, displayName: row.display_name };
}

/** Keeps what a customer is now. */
export async function keepCustomer(tx: Tx, { customerId, email, displayName }: Customer): Promise<void> {
  await tx`
    INSERT INTO customer (customer_id, email, display_name) VALUES (${customerId}, ${email}, ${displayName})
    ON CONFLICT (customer_id) DO UPDATE SET email = EXCLUDED.email, display_name = EXCLUDED.display_name`;
}

import type { Rule, Saga } from "../../mesh/events/saga.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { notificationEnded } from "./events.ts";
import type { Mailer } from "./mailer.ts";
import { FAILURE, type State } from "./notification.ts";
import { endNotification, findCustomer, findNotification } from "./store.ts";
import { writeMail } from "./templates.ts";

const DAY_MS = 86_400_000;

/** What becomes of a mail: it is tried until it is sent, refused, or a day old. */
export const rules: Readonly<Record<State, Rule<State>>> = {
  PENDING: {
    does: ["send"],
    withinMs: DAY_MS,
    done: () => ({ to: "SENT" }),
    refused: (reason) => ({ to: "FAILED", reason }),
    overdue: () => ({ to: "FAILED", reason: FAILURE.timeout }),
  },
  SENT: {},
  FAILED: {},
};

/**
 * Sends what stands in the table of intents. The intent is durable before the mail is tried, and the outcome is recorded
 * after it: a crash between the mail server's yes and the record sends the mail again.
 */
export function deliverySaga(sql: Sql, mailer: Mailer): Saga<State> {
  return {
    table: "delivery",
    key: "notification_id",
    rules,
    async act(_, notificationId) {
      const notification = await findNotification(sql, notificationId);
      if (!notification) throw new Error(`there is no notification ${notificationId}`);
      const customer = await findCustomer(sql, notification.customerId);
      // Registered a moment ago: the event is on its way here.
      if (!customer) return { kind: "unanswered", error: new Error("the customer is not known here yet") };
      const text = writeMail(notification.template, customer.displayName, notification.data);
      return mailer.send({ id: notificationId, to: customer.email, ...text });
    },
    async entered(tx, notificationId, state, reason) {
      if (state !== "PENDING")
        await notificationEnded(tx, await endNotification(tx, notificationId, state, reason));
    },
  };
}

import { beginSaga, type Saga } from "../../mesh/events/saga.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import { FAILURE, type Notification, type State, type StoredNotification } from "./notification.ts";
import { findNotification, insertNotification } from "./store.ts";
import { missingData } from "./templates.ts";

/**
 * Puts a mail on its way with the transaction; under an id that is known nothing happens again. A mail that cannot be
 * written is kept as failed. Returns the notification as it is kept.
 */
export async function notify(tx: Tx, saga: Saga<State>, wanted: Notification): Promise<StoredNotification> {
  const { notificationId, template, data } = wanted;
  const stored = await insertNotification(tx, wanted);
  if (!stored) return theNotification(tx, notificationId);
  if (missingData(template, data).length === 0) {
    await beginSaga(tx, saga, notificationId, "PENDING");
    return stored;
  }
  await saga.entered(tx, notificationId, "FAILED", FAILURE.dataMissing);
  return theNotification(tx, notificationId);
}

async function theNotification(tx: Tx, notificationId: string): Promise<StoredNotification> {
  const known = await findNotification(tx, notificationId);
  if (!known) throw new Error(`the notification ${notificationId} is gone`);
  return known;
}

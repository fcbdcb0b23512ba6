import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  NotificationService,
  SendNotificationResponseSchema,
} from "../../gen/shop/notification/v1/notification_service_pb.ts";
import type { Saga } from "../../mesh/events/saga.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { fromTemplate, toMessage } from "./messages.ts";
import { customerNotFound, dataMissing, idOf, type State } from "./notification.ts";
import { notify } from "./notify.ts";
import { findCustomer, listNotifications } from "./store.ts";
import { missingData } from "./templates.ts";

/** The RPCs of NotificationService. */
export function notificationService(sql: Sql, saga: Saga<State>): ServiceImpl<typeof NotificationService> {
  return {
    sendNotification(request) {
      const { customerId, data, requestId } = request;
      const key = { caller: customerId, requestId, request };
      return transaction(sql, (tx) =>
        once(tx, NotificationService.method.sendNotification, key, async () => {
          // The contract lets no other through.
          const template = fromTemplate(request.template) ?? "WELCOME";
          const missing = missingData(template, data);
          if (missing.length > 0) throw dataMissing(template, missing);
          if (!(await findCustomer(tx, customerId))) throw customerNotFound(customerId);
          const notificationId = idOf(customerId, requestId);
          const notification = await notify(tx, saga, { notificationId, customerId, template, data });
          return create(SendNotificationResponseSchema, { notification: toMessage(notification) });
        }),
      );
    },

    async listNotifications({ customerId, pageSize: asked, pageToken }) {
      const [after] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const found = await listNotifications(sql, { customerId, after, limit: size + 1 });
      const [notifications, nextPageToken] = cutPage(found, size, (each) => [each.notificationId]);
      return { notifications: notifications.map(toMessage), nextPageToken };
    },
  };
}

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Notification as NotificationMessage,
  NotificationSchema,
  NotificationState,
  Template,
} from "../../gen/shop/notification/v1/notification_pb.ts";
import type { StoredNotification, TemplateName } from "./notification.ts";

const TEMPLATES = {
  WELCOME: Template.WELCOME,
  ORDER_CONFIRMED: Template.ORDER_CONFIRMED,
  ORDER_REJECTED: Template.ORDER_REJECTED,
  ORDER_CANCELLED: Template.ORDER_CANCELLED,
  PAYMENT_REFUNDED: Template.PAYMENT_REFUNDED,
} as const;

const STATES = {
  PENDING: NotificationState.PENDING,
  SENT: NotificationState.SENT,
  FAILED: NotificationState.FAILED,
} as const;

/** A template as the contract says it. */
export function toTemplate(name: TemplateName): Template {
  return TEMPLATES[name];
}

/** The template that a message names; undefined if it names none that is known here. */
export function fromTemplate(template: Template): TemplateName | undefined {
  return (Object.keys(TEMPLATES) as TemplateName[]).find((name) => TEMPLATES[name] === template);
}

/** A notification as the contract says it. */
export function toMessage(notification: StoredNotification): NotificationMessage {
  const { template, state, createdAt, sentAt, ...same } = notification;
  return create(NotificationSchema, {
    ...same,
    template: toTemplate(template),
    state: STATES[state],
    createTime: timestampFromDate(createdAt),
    ...(sentAt && { sendTime: timestampFromDate(sentAt) }),
  });
}

import { clearExtension } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { contract, stream } from "../../../gen/mesh/event/v1/event_pb.ts";
import { editOption, objections } from "../../../mesh/testing/edited-contracts.ts";
import { rule } from "./event-subject-stable.ts";

const SENT = "shop.notification.v1.NotificationSent";

test("every message of the shop stays under its subject", () => {
  expect(objections(rule)).toEqual([]);
});

test("another aggregate is another subject", () => {
  const found = objections(rule, ({ file }) => {
    const events = file("shop/notification/v1/notification_event.proto");
    editOption(events, stream, (its) => {
      its.name = "EVT_MAIL";
    });
    for (const message of events.messageType)
      editOption(message, contract, (its) => {
        its.aggregate = "mail";
      });
  });
  expect(found).toContain(
    `${SENT} moves from evt.notification.v1.*.NotificationSent to evt.mail.v1.*.NotificationSent.`,
  );
});

test("an event that is none any more is named", () => {
  const found = objections(rule, ({ message }) => {
    const { options } = message(SENT);
    if (options) clearExtension(options, contract);
  });
  expect(found).toEqual([
    `${SENT} was published as evt.notification.v1.*.NotificationSent, and is no event or command any more.`,
  ]);
});

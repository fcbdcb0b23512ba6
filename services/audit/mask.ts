import { type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { pii } from "../../gen/mesh/event/v1/event_pb.ts";

/** What stands in the place of a text that is personal. */
export const MASKED = "***";

/** Takes personal data out of a message, in place: texts become `***`, all else is left out. */
export function mask(schema: DescMessage, message: Message): void {
  maskFields(reflect(schema, message));
}

function maskFields(message: ReflectMessage): void {
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if (getOption(field, pii)) {
      if (field.fieldKind === "scalar" && typeof message.get(field) === "string") message.set(field, MASKED);
      else message.clear(field);
    } else if (field.fieldKind === "message") {
      maskFields(message.get(field));
    } else if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of message.get(field)) maskFields(item as ReflectMessage);
    } else if (field.fieldKind === "map" && field.mapKind === "message") {
      for (const item of message.get(field).values()) maskFields(item as ReflectMessage);
    }
  }
}

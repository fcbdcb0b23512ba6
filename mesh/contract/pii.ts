import { clone, type DescField, type DescMessage, getOption, type MessageShape } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { pii } from "../../gen/mesh/event/v1/event_pb.ts";

/** What stands in the place of a text that nobody is to read. */
export const MASKED = "***";

/**
 * A copy of a message that may be logged and shown: without personal data (`(mesh.event.v1.pii)`) and secrets
 * (`debug_redact`), however deep. A text becomes `***`, all else is left out, and so is what cannot be judged: unknown
 * fields, and what is packed into an Any.
 */
export function masked<T extends DescMessage>(schema: T, message: MessageShape<T>): MessageShape<T> {
  const copy = clone(schema, message);
  mask(reflect(schema, copy));
  return copy;
}

/** True if a message of this type may hold what {@link masked} takes out of it, however deep. */
export function mayBePrivate(schema: DescMessage, seen: ReadonlySet<DescMessage> = new Set()): boolean {
  if (seen.has(schema)) return false;
  const within = new Set([...seen, schema]);
  return schema.fields.some(
    (field) => isPrivate(field) || (field.message !== undefined && mayBePrivate(field.message, within)),
  );
}

function mask(message: ReflectMessage): void {
  message.setUnknown([]);
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    if (isPrivate(field)) {
      if (field.fieldKind === "scalar" && typeof message.get(field) === "string") message.set(field, MASKED);
      else message.clear(field);
      continue;
    }
    for (const inner of messagesIn(message, field)) mask(inner);
  }
}

/** True if what stands in the field is personal, a secret, or packed so that it cannot be judged. */
export function isPrivate(field: DescField): boolean {
  return (
    getOption(field, pii) ||
    field.proto.options?.debugRedact === true ||
    (field.parent.typeName === AnySchema.typeName && field.name === "value")
  );
}

function* messagesIn(message: ReflectMessage, field: DescField): Iterable<ReflectMessage> {
  if (field.fieldKind === "message") yield message.get(field);
  else if (field.fieldKind === "list" && field.listKind === "message")
    yield* message.get(field) as Iterable<ReflectMessage>;
  else if (field.fieldKind === "map" && field.mapKind === "message")
    yield* message.get(field).values() as Iterable<ReflectMessage>;
}

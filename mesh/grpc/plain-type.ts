import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { FeatureSet_FieldPresence, isWrapperDesc } from "@bufbuild/protobuf/wkt";

/**
 * True if neither a type nor what may be in it has what is rare: maps, groups, fields that are required, enums that are closed,
 * and messages that protobuf-es shows as something else. All else a {@link messageWriter} and a {@link messageReader} know.
 */
export function isPlain(schema: DescMessage, seen: Set<DescMessage> = new Set()): boolean {
  if (seen.has(schema)) return true;
  seen.add(schema);
  return schema.fields.every(
    (field) => isPlainField(field) && (!field.message || isPlain(field.message, seen)),
  );
}

function isPlainField(field: DescField): boolean {
  if (field.fieldKind === "map" || field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED) return false;
  if (field.enum && !field.enum.open) return false;
  if (!field.message) return true;
  const isShownOtherwise =
    field.message.typeName === "google.protobuf.Struct" || isWrapperDesc(field.message);
  return !isShownOtherwise && !field.delimitedEncoding;
}

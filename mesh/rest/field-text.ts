import {
  type DescField,
  type DescMessage,
  type JsonValue,
  type MessageShape,
  mergeFromJson,
  ScalarType,
} from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";

/** What is wrong with a text; its message completes "<field> ...". */
export class BadText extends Error {
  override readonly name = "BadText";
}

/**
 * Puts the texts of a path or a query into a field of a message: one into a field that is single, each into a list.
 * Throws {@link BadText} if they do not fit.
 */
export function putTexts<M extends DescMessage>(
  schema: M,
  message: MessageShape<M>,
  fields: readonly DescField[],
  texts: readonly string[],
): void {
  const field = fields.at(-1);
  if (!field) return;
  const isList = field.fieldKind === "list";
  if (!isList && texts.length > 1) throw new BadText("is there more than once, but is no list");
  const values = texts.map((text) => ({ text, json: jsonOf(field, text) }));
  for (const { text, json } of values) {
    const nested = fields.reduceRight<JsonValue>(
      (inner, each) => ({ [each.name]: inner }),
      isList ? [json] : json,
    );
    try {
      mergeFromJson(schema, message, nested);
    } catch {
      throw new BadText(`is ${kindOf(field)}, not "${text}"`);
    }
  }
}

/** True if a path or a query can hold the field in one text, or, for a list, in one for each entry. */
export function isTextual({ fieldKind, message }: DescField): boolean {
  if (fieldKind === "map") return false;
  return (
    !message || isWrapperDesc(message) || message.typeName === FIELD_MASK || ONE_TEXT.has(message.typeName)
  );
}

/** A text in the form that JSON has for a field, or for an entry of a list. */
function jsonOf(field: DescField, text: string): JsonValue {
  if (field.scalar === ScalarType.BOOL) return boolOf(text);
  // JSON's own reader takes 0x10, too.
  if (field.scalar !== undefined && isWhole(field.scalar) && !/^-?\d+$/.test(text))
    throw new BadText(`is ${kindOf(field)}, not "${text}"`);
  if (field.scalar !== undefined) return text;
  if (field.enum) return /^-?\d{1,10}$/.test(text) ? Number(text) : text;
  if (field.message && field.fieldKind !== "map") return jsonOfMessage(field.message, text);
  throw new BadText("is a map, which no query can hold");
}

function jsonOfMessage(schema: DescMessage, text: string): JsonValue {
  const { typeName } = schema;
  if (isWrapperDesc(schema)) return jsonOf(schema.fields[0] as DescField, text);
  // JSON has the paths of a mask in the form of its own names; a query may have either.
  if (typeName === FIELD_MASK) return text.replaceAll(/_([a-z0-9])/g, (_, a) => a.toUpperCase());
  if (ONE_TEXT.has(typeName)) return text;
  throw new BadText(`is a ${typeName}, which no query can hold: name a field of it`);
}

const FIELD_MASK = "google.protobuf.FieldMask";
const ONE_TEXT = new Set(["google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.Value"]);

function isWhole(scalar: ScalarType): boolean {
  return /INT|FIXED/.test(ScalarType[scalar] ?? "");
}

function boolOf(text: string): boolean {
  if (text !== "true" && text !== "false") throw new BadText(`is true or false, not "${text}"`);
  return text === "true";
}

/** What a field holds, for people. */
function kindOf(field: DescField): string {
  if (field.enum) return `one of ${field.enum.values.map(({ name }) => name).join(", ")}`;
  const schema = field.message;
  if (schema?.typeName === "google.protobuf.Timestamp") return "a time such as 2026-01-31T12:00:00Z";
  if (schema?.typeName === "google.protobuf.Duration") return "a length of time such as 1.5s";
  if (schema?.typeName === "google.protobuf.FieldMask") return "names of fields with commas between them";
  const scalar = field.scalar ?? (schema && isWrapperDesc(schema) ? schema.fields[0]?.scalar : undefined);
  if (scalar === undefined) return `a ${schema?.typeName}`;
  const name = ScalarType[scalar]?.toLowerCase() ?? "";
  return name === "bytes" ? "base64" : `${name.startsWith("int") ? "an" : "a"} ${name}`;
}

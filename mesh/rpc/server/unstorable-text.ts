import { type DescField, type DescMessage, getOption, type Message } from "@bufbuild/protobuf";
import { Ignore, field as rulesOf } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { FieldViolation } from "../../core/errors.ts";

/**
 * The texts of a message that hold a NUL character, which Protobuf allows and PostgreSQL cannot keep. What the contract
 * says not to look into is not looked into.
 */
export function unstorableTexts(schema: DescMessage, message: Message): readonly FieldViolation[] {
  const found: FieldViolation[] = [];
  look(schema, message, "", found);
  return found;
}

function look(schema: DescMessage, message: Message, path: string, found: FieldViolation[]): void {
  for (const field of lookedInto(schema)) {
    for (const [at, value] of valuesOf(message, field, `${path}${field.name}`)) {
      if (typeof value === "string") {
        if (value.includes("\0")) found.push({ field: at, description: "must not hold the NUL character" });
      } else if (field.message && value) look(field.message, value as Message, `${at}.`, found);
    }
  }
}

/** The values of a field, each with its path. */
function valuesOf(message: Message, field: DescField, path: string): [string, unknown][] {
  const members = message as unknown as Record<string, unknown>;
  if (field.oneof) {
    const { case: set, value } = members[field.oneof.localName] as { case?: string; value?: unknown };
    return set === field.localName ? [[path, value]] : [];
  }
  const value = members[field.localName];
  switch (field.fieldKind) {
    case "list":
      return (value as unknown[]).map((each, i) => [`${path}[${i}]`, each]);
    case "map":
      return Object.entries(value as object).map(([key, each]) => [`${path}["${key}"]`, each]);
    default:
      return [[path, value]];
  }
}

const STRING = 9;
const known = new WeakMap<DescMessage, readonly DescField[]>();

/** The fields that can hold a text. */
function lookedInto(schema: DescMessage): readonly DescField[] {
  let fields = known.get(schema);
  if (!fields) {
    fields = schema.fields.filter(
      (each) => (each.scalar === STRING || each.message) && getOption(each, rulesOf).ignore !== Ignore.ALWAYS,
    );
    known.set(schema, fields);
  }
  return fields;
}

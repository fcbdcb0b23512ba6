import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { isWrapperDesc, FeatureSet_FieldPresence as Presence } from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import {
  type FieldRules,
  field as fieldRules,
  Ignore,
  message as messageRules,
  oneof as oneofRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { pii } from "../../gen/mesh/event/v1/event_pb.ts";
import { commentOf, meaningOf, paragraphs } from "./describe.ts";
import { isLong, ruleKeywords } from "./rule-keywords.ts";

/** A JSON Schema, or part of one. */
export type Schema = { readonly [keyword: string]: unknown };

/**
 * In which way a message is said in JSON: `answer` as servers send it, with what is empty or 0; `request` as they take it, by
 * the rules of its contract; `unchecked` where the contract has these rules ignored.
 */
export type Form = "answer" | "request" | "unchecked";

/** The schemas of a document, each message and enum once. */
export interface JsonSchemas {
  /** What a field holds, with what its contract says of it. */
  ofField(field: DescField, form: Form): Schema;
  /** A message, by reference if it is none of the well-known ones. */
  ofMessage(message: DescMessage, form: Form): Schema;
  /** A message in place, without some of its fields. */
  ofPart(message: DescMessage, form: Form, without: readonly DescField[]): Schema;
  /** All that was referred to, by name. */
  components(): Record<string, Schema>;
}

const SUFFIXES = { answer: "", request: "-Input", unchecked: "-Unchecked" } as const;

/** Makes the schemas of a document (proto3 JSON as JSON Schema 2020-12), to be referred to below `#/components/schemas/`. */
export function jsonSchemas(): JsonSchemas {
  const made = new Map<string, Schema>();

  function ref(name: string, make: () => Schema): Schema {
    if (!made.has(name)) {
      // There before it is made, for messages that hold themselves.
      made.set(name, {});
      made.set(name, make());
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  function ofMessage(message: DescMessage, form: Form): Schema {
    const wellKnown = WELL_KNOWN[message.typeName];
    if (wellKnown) return wellKnown;
    const [value] = message.fields;
    if (isWrapperDesc(message) && value) return ofScalar(value.scalar as ScalarType, form);
    return ref(`${message.typeName}${SUFFIXES[form]}`, () => ofPart(message, form, []));
  }

  function ofPart(message: DescMessage, form: Form, without: readonly DescField[]): Schema {
    const fields = message.fields.filter((field) => !without.includes(field));
    const required = requiredFields(message, form).filter((field) => fields.includes(field));
    const choices = form === "answer" || form === "request" ? choicesOf(message, form) : [];
    const says =
      form === "request" && hasOption(message, messageRules) ? getOption(message, messageRules).cel : [];
    return {
      type: "object",
      title: message.name,
      ...described(
        commentOf(message),
        says.map(({ id, message }) => message || id),
      ),
      properties: Object.fromEntries(fields.map((field) => [field.jsonName, ofField(field, form)])),
      ...(required.length > 0 && { required: required.map(({ jsonName }) => jsonName) }),
      ...(choices.length === 1 && { oneOf: choices[0] }),
      ...(choices.length > 1 && { allOf: choices.map((oneOf) => ({ oneOf })) }),
      ...(form !== "answer" && { additionalProperties: false }),
    };
  }

  function ofField(field: DescField, form: Form): Schema {
    const rules = rulesOf(field, form);
    const inner = isIgnored(field) && form === "request" ? "unchecked" : form;
    const { keywords, says } = ruleKeywords(rules, field);
    const schema = { ...ofKind(field, inner, rules), ...keywords };
    return {
      // What is empty may be left out, so it may be said, too.
      ...(rules?.ignore === Ignore.IF_ZERO_VALUE ? { anyOf: [schema, { const: zeroOf(field) }] } : schema),
      ...described(commentOf(field), says),
      ...(field.deprecated && { deprecated: true }),
      ...(getOption(field, pii) && { "x-pii": true }),
      ...(field.proto.options?.debugRedact && { format: "password" }),
    };
  }

  function ofKind(field: DescField, form: Form, rules: FieldRules | undefined): Schema {
    const { type } = rules ?? {};
    if (field.fieldKind === "list") {
      const ofItems = type?.case === "repeated" ? type.value.items : undefined;
      return { type: "array", items: { ...ofValue(field, form), ...keywordsOf(ofItems, field) } };
    }
    if (field.fieldKind === "map") {
      const { keys, values } = type?.case === "map" ? type.value : {};
      const ofKeys = { ...keyPattern(field.mapKey), ...keywordsOf(keys, field) };
      return {
        type: "object",
        additionalProperties: { ...ofValue(field, form), ...keywordsOf(values, field) },
        ...(Object.keys(ofKeys).length > 0 && { propertyNames: ofKeys }),
      };
    }
    return ofValue(field, form);
  }

  /** One value of a field: of a list one item, of a map one value. */
  function ofValue({ scalar, enum: ofEnum, message }: DescField, form: Form): Schema {
    if (message) return ofMessage(message, form);
    if (ofEnum) return ofEnumeration(ofEnum);
    return ofScalar(scalar as ScalarType, form);
  }

  function ofEnumeration(desc: DescEnum): Schema {
    if (desc.typeName === "google.protobuf.NullValue") return { type: "null" };
    return ref(desc.typeName, () => ({
      type: "string",
      title: desc.name,
      description: paragraphs(
        commentOf(desc),
        desc.values.map((value) => `- ${meaningOf(value, value.name)}`).join("\n"),
      ),
      enum: desc.values.map(({ name }) => name),
    }));
  }

  return {
    ofField,
    ofMessage,
    ofPart,
    components: () => Object.fromEntries([...made].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

/** Whether a field is always there: in an answer because it is sent even if it is empty, in a request by the rules. */
export function isRequired(field: DescField, form: Form): boolean {
  return requiredFields(field.parent, form).includes(field);
}

const validator = createValidator();

function requiredFields(message: DescMessage, form: Form): DescField[] {
  if (form === "unchecked") return [];
  if (form === "answer") return message.fields.filter(({ presence }) => presence === Presence.IMPLICIT);
  // What the rules object to in an empty message must be said, whichever rule it is.
  const result = validator.validate(message, create(message));
  if (result.kind === "error") throw result.error;
  const missing = (result.violations ?? []).map(({ field: [first] }) => first);
  return message.fields.filter((field) => missing.includes(field));
}

/** The oneofs of a message, each as the choice that its members are. */
function choicesOf(message: DescMessage, form: Form): Schema[][] {
  const ofOneof = (oneof: DescOneof) =>
    choice(oneof.fields, form === "request" && getOption(oneof, oneofRules).required === true);
  const stated =
    form === "request" && hasOption(message, messageRules) ? getOption(message, messageRules).oneof : [];
  return [
    ...message.oneofs.map(ofOneof),
    ...stated.map(({ fields, required }) =>
      choice(
        message.fields.filter(({ name }) => fields.includes(name)),
        required,
      ),
    ),
  ];
}

function choice(members: readonly DescField[], isRequired: boolean): Schema[] {
  const each = members.map(({ jsonName }) => ({ required: [jsonName] }));
  return isRequired ? each : [...each, { not: { anyOf: each } }];
}

function rulesOf(field: DescField, form: Form): FieldRules | undefined {
  if (form !== "request" || !hasOption(field, fieldRules) || isIgnored(field)) return undefined;
  return getOption(field, fieldRules);
}

function isIgnored(field: DescField): boolean {
  return hasOption(field, fieldRules) && getOption(field, fieldRules).ignore === Ignore.ALWAYS;
}

function keywordsOf(rules: FieldRules | undefined, field: DescField): Schema {
  return ruleKeywords(rules, field).keywords;
}

function described(text: string | undefined, says: readonly string[]): Schema {
  const rules = says.length > 0 ? `Rules: ${says.join("; ")}.` : undefined;
  const description = paragraphs(text, rules);
  return description === undefined ? {} : { description };
}

function zeroOf({ scalar, enum: ofEnum, fieldKind }: DescField): unknown {
  if (fieldKind === "list") return [];
  if (ofEnum) return ofEnum.values[0]?.name;
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return "";
  if (scalar === ScalarType.BOOL) return false;
  return isLong(scalar) ? "0" : 0;
}

/** The names of a map's entries in JSON are texts, whatever its keys are. */
function keyPattern(key: ScalarType): Schema {
  if (key === ScalarType.STRING) return {};
  return key === ScalarType.BOOL ? { enum: ["true", "false"] } : { pattern: "^-?[0-9]+$" };
}

const NOT_FINITE = { type: "string", enum: ["NaN", "Infinity", "-Infinity"] };

function ofScalar(scalar: ScalarType, form: Form): Schema {
  switch (scalar) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT: {
      const format = scalar === ScalarType.DOUBLE ? "double" : "float";
      return { anyOf: [{ type: "number", format }, NOT_FINITE] };
    }
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: "integer", format: "uint32", minimum: 0, maximum: 2 ** 32 - 1 };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: "integer", format: "int32" };
    default: {
      const isSigned = scalar !== ScalarType.UINT64 && scalar !== ScalarType.FIXED64;
      return {
        type: form === "answer" ? "string" : ["string", "integer"],
        format: isSigned ? "int64" : "uint64",
        pattern: isSigned ? "^-?[0-9]+$" : "^[0-9]+$",
      };
    }
  }
}

const WELL_KNOWN: Readonly<Record<string, Schema>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$", examples: ["1.5s"] },
  "google.protobuf.FieldMask": { type: "string", examples: ["name,price"] },
  "google.protobuf.Struct": { type: "object", additionalProperties: true },
  "google.protobuf.Value": {},
  "google.protobuf.ListValue": { type: "array", items: {} },
  "google.protobuf.Empty": { type: "object" },
  "google.protobuf.Any": {
    type: "object",
    properties: { "@type": { type: "string" } },
    required: ["@type"],
    additionalProperties: true,
  },
};

import { type DescEnum, type DescField, ScalarType } from "@bufbuild/protobuf";
import { type Duration, durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { FieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Schema } from "./json-schema.ts";

/** What validation rules come to. */
export interface RuleKeywords {
  readonly keywords: Schema;
  /** What no keyword of JSON Schema can say, each a phrase. */
  readonly says: readonly string[];
}

const NONE: RuleKeywords = { keywords: {}, says: [] };

/** What is stated of these rules; what is not reads as 0 or empty there, which could be a rule, too. */
function stated<T extends object>(rules: T): Partial<T> {
  return { ...rules };
}

/** The rules of one value as keywords of JSON Schema; those of its parts (`items`, `keys`, `values`) are theirs. */
export function ruleKeywords(
  rules: FieldRules | undefined,
  { enum: ofEnum, scalar }: DescField,
): RuleKeywords {
  if (!rules) return NONE;
  const { keywords, says } = typeKeywords(rules, ofEnum, scalar);
  return { keywords, says: [...says, ...rules.cel.map(({ id, message }) => message || id)] };
}

function typeKeywords(
  { type }: FieldRules,
  ofEnum: DescEnum | undefined,
  scalar: ScalarType | undefined,
): RuleKeywords {
  switch (type.case) {
    case undefined:
      return NONE;
    case "string":
      return textKeywords(type.value);
    case "bytes": {
      const { minLen, maxLen, len } = stated(type.value);
      return { keywords: {}, says: [...countSays(len || minLen, len || maxLen, "bytes")] };
    }
    case "bool":
      return { keywords: setKeywords(stated(type.value).const, [], [], Boolean), says: [] };
    case "enum": {
      const nameOf = (number: number) => ofEnum?.value[number]?.name ?? number;
      const { const: only, in: some, notIn } = stated(type.value);
      return { keywords: setKeywords(only, some, notIn, nameOf), says: [] };
    }
    case "repeated": {
      const { minItems, maxItems, unique } = stated(type.value);
      const keywords = { ...bound("minItems", minItems), ...bound("maxItems", maxItems) };
      return { keywords: { ...keywords, ...(unique && { uniqueItems: true }) }, says: [] };
    }
    case "map": {
      const { minPairs, maxPairs } = stated(type.value);
      return {
        keywords: { ...bound("minProperties", minPairs), ...bound("maxProperties", maxPairs) },
        says: [],
      };
    }
    case "duration":
      return {
        keywords: {},
        says: rangeSays(type.value, (value) => `${durationMs(value as Duration) / 1000}s`),
      };
    case "timestamp":
      return {
        keywords: {},
        says: rangeSays(type.value, (value) => timestampDate(value as Timestamp).toISOString()),
      };
    case "any":
    case "fieldMask":
      return NONE;
    default:
      return numberKeywords(type.value, scalar);
  }
}

interface NumberRules {
  readonly const?: number | bigint;
  readonly in: readonly (number | bigint)[];
  readonly notIn: readonly (number | bigint)[];
  readonly lessThan: Bound;
  readonly greaterThan: Bound;
}

type Bound = { readonly case?: string | undefined; readonly value?: unknown };

function numberKeywords(rules: NumberRules, scalar: ScalarType | undefined): RuleKeywords {
  const { lessThan, greaterThan } = rules;
  const { const: only, in: some, notIn } = stated(rules);
  // A number of 64 bits is a text in JSON, which has no bounds.
  if (isLong(scalar)) {
    const says = rangeSays(rules, String);
    return { keywords: setKeywords(only, some, notIn, String), says };
  }
  const [least, most] = [greaterThan.value, lessThan.value] as (number | undefined)[];
  // Bounds that have changed places shut out what is between them.
  if (least !== undefined && most !== undefined && least > most)
    return { keywords: {}, says: rangeSays(rules, String) };
  const keywords = {
    ...(least !== undefined && { [greaterThan.case === "gt" ? "exclusiveMinimum" : "minimum"]: least }),
    ...(most !== undefined && { [lessThan.case === "lt" ? "exclusiveMaximum" : "maximum"]: most }),
  };
  return { keywords: { ...keywords, ...setKeywords(only, some, notIn, Number) }, says: [] };
}

/** True for numbers of 64 bits, which are texts in JSON. */
export function isLong(scalar: ScalarType | undefined): boolean {
  return scalar !== undefined && /64$/.test(ScalarType[scalar] ?? "");
}

const FORMATS = {
  email: "email",
  hostname: "hostname",
  ipv4: "ipv4",
  ipv6: "ipv6",
  uri: "uri",
  uriRef: "uri-reference",
  uuid: "uuid",
} as const;

type TextRules = Extract<FieldRules["type"], { case: "string" }>["value"];

function textKeywords(rules: TextRules): RuleKeywords {
  const { const: only, in: some, notIn, len, minLen, maxLen, pattern } = stated(rules);
  const { wellKnown } = rules;
  const format = FORMATS[wellKnown.case as keyof typeof FORMATS];
  const patterns = [
    pattern,
    rules.prefix && `^${escaped(rules.prefix)}`,
    rules.suffix && `${escaped(rules.suffix)}$`,
    rules.contains && escaped(rules.contains),
  ].filter((each): each is string => each !== undefined && each !== "");
  const [first, ...others] = patterns.filter(isPattern);
  const keywords = {
    ...bound("minLength", len ?? minLen),
    ...bound("maxLength", len ?? maxLen),
    ...(format && { format }),
    ...(first !== undefined && { pattern: first }),
    ...(others.length > 0 && { allOf: others.map((each) => ({ pattern: each })) }),
    ...(rules.notContains && { not: { pattern: escaped(rules.notContains) } }),
    ...setKeywords(only, some, notIn, String),
  };
  const unsaid = patterns.filter((each) => !isPattern(each)).map((each) => `it matches ${each}`);
  const named = wellKnown.case && wellKnown.value && !format ? [`it is of the form ${wellKnown.case}`] : [];
  return { keywords, says: [...unsaid, ...named] };
}

/** RE2, which the rules are written in, is near to what JSON Schema takes, but not the same. */
function isPattern(text: string): boolean {
  try {
    new RegExp(text, "u");
    return true;
  } catch {
    return false;
  }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function setKeywords<T>(
  only: T | undefined,
  some: readonly T[] | undefined = [],
  notIn: readonly T[] | undefined = [],
  jsonOf: (value: T) => unknown,
): Schema {
  return {
    ...(only !== undefined && constant(jsonOf(only))),
    ...(some.length > 0 && { enum: some.map(jsonOf) }),
    ...(notIn.length > 0 && { not: { enum: notIn.map(jsonOf) } }),
  };
}

function constant(value: unknown): Schema {
  return { const: value };
}

function bound(name: string, count: bigint | undefined): Schema {
  return count === undefined || count === 0n ? {} : { [name]: Number(count) };
}

function countSays(least: bigint | undefined, most: bigint | undefined, what: string): string[] {
  return [...(least ? [`at least ${least} ${what}`] : []), ...(most ? [`at most ${most} ${what}`] : [])];
}

const WORDS: Readonly<Record<string, string>> = {
  gt: "more than",
  gte: "at least",
  lt: "less than",
  lte: "at most",
};

function rangeSays(
  { greaterThan, lessThan }: { readonly greaterThan: Bound; readonly lessThan: Bound },
  textOf: (value: unknown) => string,
): string[] {
  return [greaterThan, lessThan].flatMap(({ case: word, value }) =>
    word && WORDS[word] ? [`${WORDS[word]} ${textOf(value)}`] : [],
  );
}

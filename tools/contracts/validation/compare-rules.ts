import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { isReflectMessage, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import {
  type FieldRules,
  FieldRulesSchema,
  Ignore,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { bothWays, type RuleChange } from "./change.ts";
import { comparePatterns } from "./compare-patterns.ts";

/** How the rules of a field differ from what they were. Undefined means none. */
export function* compareRules(
  was: FieldRules | undefined,
  is: FieldRules | undefined,
): Generator<RuleChange> {
  const [before, now] = [enforced(was), enforced(is)];
  yield* compareFlag("required", before?.required ?? false, now?.required ?? false);
  yield* compareIgnored(before, now);
  yield* compareSets("cel", expressions(before), expressions(now), "more is tighter");
  const [oldType, newType] = [typeRules(before), typeRules(now)];
  if (oldType && newType && oldType.desc !== newType.desc) yield* bothWays("its rules are for another type");
  else {
    const desc = (newType ?? oldType)?.desc;
    if (desc) yield* compareTypeRules(oldType ?? reflect(desc), newType ?? reflect(desc));
  }
}

/** What CEL expressions these rules have. */
export function expressions(rules: { cel: { expression: string }[]; celExpression: string[] } | undefined) {
  return rules ? [...rules.cel.map(({ expression }) => expression), ...rules.celExpression] : [];
}

/** Rules that are always ignored are none. */
function enforced(rules: FieldRules | undefined): FieldRules | undefined {
  return rules?.ignore === Ignore.ALWAYS ? undefined : rules;
}

/** Whether zero values are let through matters only where there is a rule that they could break. */
function* compareIgnored(was: FieldRules | undefined, is: FieldRules | undefined): Generator<RuleChange> {
  const [before, now] = [was, is].map((rules) => rules?.ignore === Ignore.IF_ZERO_VALUE);
  if (before && !now && is?.type.case !== undefined)
    yield { is: "tighter", what: "zero values are not let through any more" };
  if (!before && now && was?.type.case !== undefined)
    yield { is: "looser", what: "zero values are let through" };
}

function typeRules(rules: FieldRules | undefined): ReflectMessage | undefined {
  if (rules?.type.case === undefined) return undefined;
  const field = FieldRulesSchema.field[rules.type.case];
  const value = reflect(FieldRulesSchema, rules).get(field);
  return isReflectMessage(value) ? value : undefined;
}

const LOWER = { inclusive: ["min_len", "min_bytes", "min_items", "min_pairs", "gte"], exclusive: ["gt"] };
const UPPER = {
  inclusive: ["max_len", "max_bytes", "max_items", "max_pairs", "lte", "within"],
  exclusive: ["lt"],
};
const BOUNDS = new Set([LOWER, UPPER].flatMap(({ inclusive, exclusive }) => [...inclusive, ...exclusive]));
const RULES_OF_PARTS = ["items", "keys", "values"];

function* compareTypeRules(was: ReflectMessage, is: ReflectMessage): Generator<RuleChange> {
  yield* compareBounds(was, is);
  for (const field of is.desc.fields) {
    const { name } = field;
    if (BOUNDS.has(name) || name === "example") continue;
    const [before, now] = [was, is].map((rules) => (rules.isSet(field) ? rules.get(field) : undefined));
    if (RULES_OF_PARTS.includes(name)) {
      for (const change of compareRules(messageOf(before), messageOf(now)))
        yield { ...change, what: `${name}: ${change.what}` };
    } else if (field.fieldKind === "list") {
      yield* compareSets(
        name,
        valuesOf(before),
        valuesOf(now),
        name === "in" ? "more is looser" : "more is tighter",
      );
    } else if (typeof before === "boolean" || typeof now === "boolean") {
      // A const of false is a rule as much as one of true.
      if (name === "const") yield* compareExact(field, before, now);
      else yield* compareFlag(name, before === true, now === true);
    } else if (name === "pattern" && before !== undefined && now !== undefined) {
      yield* comparePatterns(String(before), String(now));
    } else yield* compareExact(field, before, now);
  }
  if (JSON.stringify(was.getUnknown()?.map(raw)) !== JSON.stringify(is.getUnknown()?.map(raw)))
    yield* bothWays("its predefined rules changed");
}

function raw({ no, data }: { no: number; data: Uint8Array }) {
  return [no, [...data]];
}

function messageOf(value: unknown): FieldRules | undefined {
  return isReflectMessage(value) ? (value.message as FieldRules) : undefined;
}

function* compareFlag(name: string, was: boolean, is: boolean): Generator<RuleChange> {
  if (is && !was) yield { is: "tighter", what: `${name} is new` };
  if (was && !is) yield { is: "looser", what: `${name} is gone` };
}

/** A rule that names one value, or a part of it: it is there or not, and another one is another. */
function* compareExact(field: DescField, was: unknown, is: unknown): Generator<RuleChange> {
  const [before, now] = [was, is].map((value) => (value === undefined ? undefined : comparable(value)));
  if (before === now) return;
  if (before === undefined) yield { is: "tighter", what: `${field.name} is new: ${now}` };
  else if (now === undefined) yield { is: "looser", what: `${field.name} is gone, was ${before}` };
  else yield* bothWays(`${field.name} is ${now}, was ${before}`);
}

/** Several rules of which each holds, or of which one must: an empty list of either is no rule. */
function* compareSets(
  name: string,
  was: readonly unknown[],
  is: readonly unknown[],
  meaning: "more is tighter" | "more is looser",
): Generator<RuleChange> {
  const [added, gone] = [is.filter((each) => !was.includes(each)), was.filter((each) => !is.includes(each))];
  if (added.length + gone.length === 0) return;
  if (meaning === "more is looser" && (was.length === 0 || is.length === 0)) {
    yield* compareFlag(`${name} of ${[...was, ...is].join(", ")}`, was.length > 0, is.length > 0);
    return;
  }
  const [ofMore, ofLess] =
    meaning === "more is tighter" ? (["tighter", "looser"] as const) : (["looser", "tighter"] as const);
  for (const each of added) yield { is: ofMore, what: `${name} has ${each}` };
  for (const each of gone) yield { is: ofLess, what: `${name} has no more ${each}` };
}

interface Bound {
  readonly name: string;
  readonly value: number | bigint;
  readonly isExclusive: boolean;
}

function* compareBounds(was: ReflectMessage, is: ReflectMessage): Generator<RuleChange> {
  const [oldLower, oldUpper, lower, upper] = [
    boundOf(was, LOWER),
    boundOf(was, UPPER),
    boundOf(is, LOWER),
    boundOf(is, UPPER),
  ];
  const hasChanged = !isSame(oldLower, lower) || !isSame(oldUpper, upper);
  // A lower bound above the upper one means "outside of both", for which more of either is no longer tighter.
  if (hasChanged && (isInverted(oldLower, oldUpper) || isInverted(lower, upper))) {
    yield* bothWays("its bounds changed");
    return;
  }
  yield* compareBound(oldLower, lower, (one, other) => one > other);
  yield* compareBound(oldUpper, upper, (one, other) => one < other);
}

function* compareBound(
  was: Bound | undefined,
  is: Bound | undefined,
  isNarrower: (one: number | bigint, other: number | bigint) => boolean,
): Generator<RuleChange> {
  if (isSame(was, is)) return;
  if (!is) yield { is: "looser", what: `${was?.name} is gone, was ${was?.value}` };
  else if (!was) yield { is: "tighter", what: `${is.name} is new: ${is.value}` };
  else {
    const isTighter = is.value === was.value ? is.isExclusive : isNarrower(is.value, was.value);
    const what = `${is.name} is ${is.value}, was ${was.name === is.name ? "" : `${was.name} `}${was.value}`;
    yield { is: isTighter ? "tighter" : "looser", what };
  }
}

function boundOf(rules: ReflectMessage, names: typeof LOWER): Bound | undefined {
  for (const [kind, each] of Object.entries(names)) {
    const field = rules.fields.find(
      ({ name }) => each.includes(name) && rules.isSet(fieldOf(rules.desc, name)),
    );
    if (!field) continue;
    const value = comparable(rules.get(field));
    if (typeof value !== "number" && typeof value !== "bigint") continue;
    return { name: field.name, value, isExclusive: kind === "exclusive" };
  }
  return undefined;
}

function fieldOf(desc: DescMessage, name: string): DescField {
  return desc.fields.find((each) => each.name === name) as DescField;
}

function isSame(one: Bound | undefined, other: Bound | undefined): boolean {
  return one?.value === other?.value && one?.isExclusive === other?.isExclusive;
}

function isInverted(lower: Bound | undefined, upper: Bound | undefined): boolean {
  return lower !== undefined && upper !== undefined && lower.value > upper.value;
}

function valuesOf(value: unknown): unknown[] {
  return value === undefined ? [] : [...(value as Iterable<unknown>)].map(comparable);
}

/** Durations and timestamps in nanoseconds, bytes as text, all else as it is. */
function comparable(value: unknown): string | number | bigint | boolean {
  if (isReflectMessage(value)) {
    const { seconds, nanos } = value.message as unknown as { seconds?: bigint; nanos?: number };
    if (seconds !== undefined) return seconds * 1_000_000_000n + BigInt(nanos ?? 0);
    return JSON.stringify(value.message);
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return value as string | number | bigint | boolean;
}

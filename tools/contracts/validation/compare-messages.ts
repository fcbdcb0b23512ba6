import { create, type DescField, type DescMessage, getOption, type Registry } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import * as validation from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import type { Finding } from "../plugin/rule.ts";
import type { RuleChange } from "./change.ts";
import { compareRules, expressions } from "./compare-rules.ts";

/** A change of validation, and where it stands in the contracts as they are. */
export interface ValidationChange extends RuleChange {
  readonly at: Finding["at"];
  readonly option: NonNullable<Finding["option"]>;
}

/** How what is valid as a message differs from what was. */
export function* compareMessages(
  was: DescMessage,
  is: DescMessage,
  registry: Registry,
): Generator<ValidationChange> {
  for (const change of compareWhole(was, is)) yield { at: is, option: validation.message, ...change };
  for (const at of is.fields) {
    const before = was.fields.find(({ number }) => number === at.number);
    for (const change of before ? compareFields(before, at) : newField(at, registry))
      yield { at, option: validation.field, ...change };
  }
  for (const at of is.oneofs) {
    const before = was.oneofs.find(({ name }) => name === at.name);
    const [wasRequired, isRequired] = [before, at].map(
      (oneof) => oneof && getOption(oneof, validation.oneof).required,
    );
    const option = validation.oneof;
    if (isRequired && !wasRequired)
      yield { at, option, is: "tighter", what: "one of its fields is required" };
    if (wasRequired && !isRequired)
      yield { at, option, is: "looser", what: "none of its fields is required any more" };
  }
}

/** True if the rules of the message in a field, or in its list or map, are enforced with those around it. */
export function isEntered(field: DescField): boolean {
  return getOption(field, validation.field).ignore !== validation.Ignore.ALWAYS;
}

function* compareFields(was: DescField, is: DescField): Generator<RuleChange> {
  yield* compareRules(getOption(was, validation.field), getOption(is, validation.field));
  if (!is.message || isEntered(was) === isEntered(is)) return;
  if (isEntered(is)) yield { is: "tighter", what: `the rules of ${is.message.name} are enforced in it` };
  else yield { is: "looser", what: `the rules of ${is.message.name} are not enforced in it any more` };
}

/** Whoever does not know a field yet leaves it out, so rules that want something in it leave them out. */
function* newField(field: DescField, registry: Registry): Generator<RuleChange> {
  const { violations = [] } = createValidator({ registry }).validate(field.parent, create(field.parent));
  for (const { field: path, message } of violations) {
    const [first] = path;
    if (first?.kind === "field" && first.number === field.number)
      yield { is: "tighter", what: `it is new, and who leaves it out breaks a rule: ${message}` };
  }
}

/** Rules of the message as a whole: each is a text, there or not. */
function* compareWhole(was: DescMessage, is: DescMessage): Generator<RuleChange> {
  const [before, now] = [was, is].map(wholeRules);
  for (const rule of now ?? [])
    if (!before?.includes(rule)) yield { is: "tighter", what: `it has the rule ${rule}` };
  for (const rule of before ?? [])
    if (!now?.includes(rule)) yield { is: "looser", what: `it has no more the rule ${rule}` };
}

function wholeRules(message: DescMessage): string[] {
  const rules = getOption(message, validation.message);
  const oneofs = rules.oneof.map(
    ({ fields, required }) => `${required ? "one" : "at most one"} of ${fields.join(", ")}`,
  );
  return [...expressions(rules), ...oneofs];
}

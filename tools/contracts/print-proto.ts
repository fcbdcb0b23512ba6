import type { DescMessage, Message, Registry } from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  EnumOptionsSchema,
  EnumValueOptionsSchema,
  type FieldDescriptorProto,
  FieldOptionsSchema,
  type FileDescriptorProto,
  FileOptionsSchema,
  FieldDescriptorProto_Label as Label,
  MessageOptionsSchema,
  OneofOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { optionValues } from "./print-options.ts";

const MAX_FIELD_NUMBER = 536_870_911;
const MAX_ENUM_NUMBER = 2_147_483_647;

/**
 * The source text of a proto2 file, from its descriptor. Compiling the text gives that descriptor again; comments are
 * lost, because a descriptor in a package carries none. Custom options are found in the registry.
 *
 * Throws on what it cannot print (proto3, services, groups, maps, default values and the like), so that nothing goes missing unseen.
 */
export function printProto(file: FileDescriptorProto, registry: Registry): string {
  refuse(file.syntax !== "" && file.syntax !== "proto2", `syntax ${file.syntax}`);
  refuse(file.service.length > 0, "services");
  refuse(
    file.publicDependency.length + file.weakDependency.length + file.optionDependency.length > 0,
    "import modifiers",
  );
  const scope: Scope = { package: file.package, registry };
  return [
    'syntax = "proto2";',
    `package ${file.package};`,
    file.dependency.map((path) => `import ${JSON.stringify(path)};`).join("\n"),
    statements(FileOptionsSchema, file.options, scope).join("\n"),
    ...extensions(file.extension, scope),
    ...file.messageType.map((message) => printMessage(message, scope)),
    ...file.enumType.map((descriptor) => printEnum(descriptor, scope)),
  ]
    .filter((part) => part !== "")
    .join("\n\n")
    .concat("\n");
}

type Scope = { package: string; registry: Registry };

function printMessage(message: DescriptorProto, scope: Scope): string {
  refuse(message.options?.mapEntry ?? false, "map fields");
  return block(`message ${message.name}`, [
    ...statements(MessageOptionsSchema, message.options, scope),
    ...reserved(message.reservedRange, message.reservedName, 1),
    ...message.extensionRange.map((range) => {
      refuse(range.options !== undefined, "options of extension ranges");
      return `extensions ${span(range.start, range.end - 1, MAX_FIELD_NUMBER)};`;
    }),
    ...message.nestedType.map((nested) => printMessage(nested, scope)),
    ...message.enumType.map((nested) => printEnum(nested, scope)),
    ...fields(message, scope),
    ...extensions(message.extension, scope),
  ]);
}

/** A oneof is printed where its first field stands, so that the fields keep their order. */
function fields(message: DescriptorProto, scope: Scope): string[] {
  return message.field.flatMap((field) => {
    const index = oneofOf(field);
    if (index === undefined) return [`${label(field)} ${printField(field, scope)}`];
    const members = message.field.filter((other) => oneofOf(other) === index);
    if (members[0] !== field) return [];
    const oneof = message.oneofDecl[index];
    return block(`oneof ${oneof?.name}`, [
      ...statements(OneofOptionsSchema, oneof?.options, scope),
      ...members.map((member) => printField(member, scope)),
    ]);
  });
}

function extensions(declared: FieldDescriptorProto[], scope: Scope): string[] {
  return declared.map((field) =>
    block(`extend ${typeName(field.extendee, scope)}`, [`${label(field)} ${printField(field, scope)}`]),
  );
}

function printField(field: FieldDescriptorProto, scope: Scope): string {
  refuse(field.type === Type.GROUP, "groups");
  refuse(field.defaultValue !== "", "default values");
  refuse(field.jsonName !== "" && field.jsonName !== protoCamelCase(field.name), "JSON names");
  const type = field.typeName === "" ? scalarName(field.type) : typeName(field.typeName, scope);
  return `${type} ${field.name} = ${field.number}${inline(FieldOptionsSchema, field.options, scope)};`;
}

function printEnum(descriptor: EnumDescriptorProto, scope: Scope): string {
  return block(`enum ${descriptor.name}`, [
    ...statements(EnumOptionsSchema, descriptor.options, scope),
    ...reserved(descriptor.reservedRange, descriptor.reservedName, 0),
    ...descriptor.value.map(
      (value) => `${value.name} = ${value.number}${inline(EnumValueOptionsSchema, value.options, scope)};`,
    ),
  ]);
}

/** `endIsExclusive` is 1 for messages and 0 for enums: descriptors count the two differently. */
function reserved(
  ranges: { start: number; end: number }[],
  names: string[],
  endIsExclusive: 0 | 1,
): string[] {
  const max = endIsExclusive === 1 ? MAX_FIELD_NUMBER : MAX_ENUM_NUMBER;
  const spans = ranges.map((range) => span(range.start, range.end - endIsExclusive, max));
  return [spans, names.map((name) => JSON.stringify(name))]
    .filter((items) => items.length > 0)
    .map((items) => `reserved ${items.join(", ")};`);
}

function span(first: number, last: number, max: number): string {
  if (first === last) return String(first);
  return `${first} to ${last === max ? "max" : last}`;
}

function statements(schema: DescMessage, options: Message | undefined, scope: Scope): string[] {
  return optionValues(schema, options, scope.registry).map(([name, value]) => `option ${name} = ${value};`);
}

function inline(schema: DescMessage, options: Message | undefined, scope: Scope): string {
  const values = optionValues(schema, options, scope.registry).map(([name, value]) => `${name} = ${value}`);
  return values.length === 0 ? "" : ` [${values.join(", ")}]`;
}

function oneofOf(field: FieldDescriptorProto): number | undefined {
  return Object.hasOwn(field, "oneofIndex") ? field.oneofIndex : undefined;
}

function label(field: FieldDescriptorProto): string {
  return (Label[field.label] ?? "optional").toLowerCase();
}

function scalarName(type: Type): string {
  return String(Type[type]).toLowerCase();
}

/** Relative to the file's package where that is possible, because that is how people write it. */
function typeName(name: string, scope: Scope): string {
  const absolute = name.replace(/^\./, "");
  return absolute.startsWith(`${scope.package}.`) ? absolute.slice(scope.package.length + 1) : absolute;
}

function block(head: string, lines: string[]): string {
  return lines.length === 0 ? `${head} {}` : `${head} {\n${lines.join("\n").replace(/^(?=.)/gm, "  ")}\n}`;
}

function refuse(isUnsupported: boolean, what: string): void {
  if (isUnsupported) throw new Error(`Cannot print ${what}: teach tools/print-proto.ts first.`);
}

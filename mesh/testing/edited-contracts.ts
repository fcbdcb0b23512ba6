import {
  clone,
  create,
  type DescExtension,
  type DescMessage,
  type ExtensionValueShape,
  getExtension,
  type Message,
  setExtension,
} from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  EnumOptionsSchema,
  EnumValueOptionsSchema,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  FieldOptionsSchema,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileOptionsSchema,
  FieldDescriptorProto_Label as Label,
  MessageOptionsSchema,
  type MethodDescriptorProto,
  MethodOptionsSchema,
  OneofOptionsSchema,
  type ServiceDescriptorProto,
  ServiceOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { type Contracts, contractsOf } from "../../tools/contracts/plugin/contracts.ts";
import type { Rule } from "../../tools/contracts/plugin/rule.ts";
import { ownFiles } from "../../tools/contracts/shop-services.ts";

/** What may be changed in the contracts of this repository, each by its full name. */
export interface Editor {
  file(name: string): FileDescriptorProto;
  message(name: string): DescriptorProto;
  /** Such as `shop.order.v1.Order.order_id`. */
  field(name: string): FieldDescriptorProto;
  enum(name: string): EnumDescriptorProto;
  service(name: string): ServiceDescriptorProto;
  /** Such as `shop.order.v1.OrderService/GetOrder`. */
  method(name: string): MethodDescriptorProto;
}

const files = await ownFiles();
const protos = new Map<string, FileDescriptorProto>();
const collect = ({ proto, dependencies }: (typeof files)[number]) => {
  if (protos.has(proto.name)) return;
  protos.set(proto.name, proto);
  for (const each of dependencies) collect(each);
};
for (const file of files) collect(file);
const own = new Set(files.map(({ proto }) => proto.name));

/** The descriptors of this repository's contracts and of all that they import, changed as it says. */
export function editedFiles(edit: (editor: Editor) => void = () => {}): FileDescriptorProto[] {
  const copies = [...protos.values()].map((proto) => clone(FileDescriptorProtoSchema, proto));
  edit(editorOf(copies));
  return copies;
}

/** The contracts of this repository, changed as it says. */
export function editedContracts(edit?: (editor: Editor) => void): Contracts {
  return contractsOf(editedFiles(edit), ({ name }) => own.has(name));
}

/** What a rule says of the contracts of this repository, changed as it says; and changed from what they were. */
export function objections(
  rule: Rule,
  edit?: (editor: Editor) => void,
  was?: (editor: Editor) => void,
): string[] {
  const now = editedContracts(edit);
  const found = "check" in rule ? rule.check(now) : rule.compare(editedContracts(was), now);
  return [...found].map(({ message }) => message);
}

/** Changes an option, or states it if it was not stated. */
export function editOption<E extends DescExtension>(
  of: HasOptions,
  extension: E,
  change: (value: ExtensionValueShape<E>) => void,
): void {
  const value = getExtension(optionsOf<E>(of), extension);
  change(value);
  setOption(of, extension, value);
}

/** States an option, in the place of what was stated. */
export function setOption<E extends DescExtension>(
  of: HasOptions,
  extension: E,
  value: ExtensionValueShape<E>,
): void {
  setExtension(optionsOf<E>(of), extension, value);
}

interface HasOptions {
  readonly $typeName: string;
  options?: Message | undefined;
}

const OPTIONS: Readonly<Record<string, DescMessage>> = {
  "google.protobuf.FileDescriptorProto": FileOptionsSchema,
  "google.protobuf.DescriptorProto": MessageOptionsSchema,
  "google.protobuf.FieldDescriptorProto": FieldOptionsSchema,
  "google.protobuf.OneofDescriptorProto": OneofOptionsSchema,
  "google.protobuf.EnumDescriptorProto": EnumOptionsSchema,
  "google.protobuf.EnumValueDescriptorProto": EnumValueOptionsSchema,
  "google.protobuf.ServiceDescriptorProto": ServiceOptionsSchema,
  "google.protobuf.MethodDescriptorProto": MethodOptionsSchema,
};

function optionsOf<E extends DescExtension>(of: HasOptions) {
  of.options ??= create(OPTIONS[of.$typeName] as DescMessage);
  return of.options as Parameters<typeof setExtension<E>>[0];
}

/** A text field. */
export function textField(name: string, number: number): FieldDescriptorProto {
  return create(FieldDescriptorProtoSchema, {
    name,
    number,
    type: Type.STRING,
    label: Label.OPTIONAL,
    jsonName: name,
  });
}

/** Takes what has this name out of a list. */
export function remove<T extends { name: string }>(list: T[], name: string): void {
  list.splice(list.indexOf(named(list, name)), 1);
}

/** What has this name in a list. Throws if nothing has: the test would prove nothing. */
export function named<T extends { name: string }>(list: readonly T[], name: string): T {
  const found = list.find((each) => each.name === name);
  if (!found) throw new Error(`there is no ${name}: adapt the test to the contract`);
  return found;
}

function editorOf(copies: FileDescriptorProto[]): Editor {
  const inPackage = <T>(
    name: string,
    find: (file: FileDescriptorProto, rest: string) => T | undefined,
  ): T => {
    for (const file of copies) {
      if (!name.startsWith(`${file.package}.`)) continue;
      const found = find(file, name.slice(file.package.length + 1));
      if (found !== undefined) return found;
    }
    throw new Error(`there is no ${name}: adapt the test to the contract`);
  };
  const byName =
    <T extends { name: string }>(of: (file: FileDescriptorProto) => T[]) =>
    (name: string) =>
      inPackage(name, (file, rest) => of(file).find((each) => each.name === rest));
  const message = byName((file) => file.messageType);
  const service = byName((file) => file.service);
  return {
    file: (name) => named(copies, name),
    message,
    field(name) {
      const dot = name.lastIndexOf(".");
      return named(message(name.slice(0, dot)).field, name.slice(dot + 1));
    },
    enum: byName((file) => file.enumType),
    service,
    method(name) {
      const [of = "", method = ""] = name.split("/");
      return named(service(of).method, method);
    },
  };
}

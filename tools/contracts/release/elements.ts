import {
  type AnyDesc,
  clearExtension,
  clone,
  type DescMessage,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import {
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  EnumValueDescriptorProtoSchema,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  MethodDescriptorProtoSchema,
  type MethodOptions,
  OneofDescriptorProtoSchema,
  ServiceDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { routesOf } from "../../../mesh/contract/routes.ts";
import type { Contracts } from "../plugin/contracts.ts";

/** What kinds of things contracts are made of, in the order in which people want to hear of them. */
export const KINDS = [
  "file",
  "service",
  "RPC",
  "route",
  "message",
  "field",
  "oneof",
  "enum",
  "enum value",
  "option",
] as const;

/** A thing that contracts have. */
export interface Element {
  readonly kind: (typeof KINDS)[number];
  /** The full name, such as `shop.order.v1.OrderService/GetOrder`. */
  readonly name: string;
  /** The name of what it is a part of. */
  readonly parent: string | undefined;
  /** What it says by itself, its parts left out. */
  readonly text: string;
  readonly isDeprecated: boolean;
}

/** Everything that these contracts have, by kind and name. */
export function elementsOf({ files }: Contracts): Map<string, Element> {
  const found = new Map<string, Element>();
  const add = (element: Element) => found.set(`${element.kind} ${element.name}`, element);
  for (const file of files) {
    add({ ...own("file", file.proto.name, undefined, file), text: bare(file) });
    for (const type of nestedTypes(file)) {
      const within = "parent" in type && type.parent ? type.parent.typeName : file.proto.name;
      if (type.kind === "extension") add(own("option", type.typeName, within, type));
      else add(own(type.kind, type.typeName, within, type));
      if (type.kind === "message") {
        for (const each of type.fields)
          add(own("field", `${type.typeName}.${each.name}`, type.typeName, each));
        for (const each of type.oneofs)
          add(own("oneof", `${type.typeName}.${each.name}`, type.typeName, each));
      } else if (type.kind === "enum") {
        for (const each of type.values) add(own("enum value", each.name, type.typeName, each));
      } else if (type.kind === "service") {
        for (const each of type.methods)
          add(own("RPC", `${type.typeName}/${each.name}`, type.typeName, each));
        for (const { verb, template, method } of routesOf(type)) {
          const name = `${verb} ${template.text}`;
          add({
            kind: "route",
            name,
            parent: `${type.typeName}/${method.name}`,
            text: name,
            isDeprecated: false,
          });
        }
      }
    }
  }
  return found;
}

function own(kind: Element["kind"], name: string, parent: string | undefined, desc: AnyDesc): Element {
  return { kind, name, parent, text: bare(desc), isDeprecated: desc.deprecated };
}

const SCHEMAS: Readonly<Record<AnyDesc["kind"], [DescMessage, readonly string[]]>> = {
  file: [
    FileDescriptorProtoSchema,
    [
      "messageType",
      "enumType",
      "service",
      "extension",
      "dependency",
      "publicDependency",
      "sourceCodeInfo",
      "$unknown",
    ],
  ],
  message: [DescriptorProtoSchema, ["field", "nestedType", "enumType", "extension", "oneofDecl"]],
  enum: [EnumDescriptorProtoSchema, ["value"]],
  enum_value: [EnumValueDescriptorProtoSchema, []],
  service: [ServiceDescriptorProtoSchema, ["method"]],
  rpc: [MethodDescriptorProtoSchema, []],
  field: [FieldDescriptorProtoSchema, []],
  extension: [FieldDescriptorProtoSchema, []],
  oneof: [OneofDescriptorProtoSchema, []],
};

/** What a descriptor says by itself: its parts, and the routes of an RPC, are elements of their own. */
function bare({ kind, proto }: AnyDesc): string {
  const [schema, parts] = SCHEMAS[kind];
  const copy = clone(schema, proto as Message) as unknown as Record<string, unknown>;
  for (const part of parts) copy[part] = Array.isArray(copy[part]) ? [] : undefined;
  if (kind === "rpc" && proto.options) {
    const { options } = copy as { options: MethodOptions };
    clearExtension(options, http);
  }
  return Buffer.from(toBinary(schema, copy as unknown as Message)).toString("base64");
}

import { clearExtension, create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  DescriptorProtoSchema,
  EnumValueDescriptorProtoSchema,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label as Label,
  MethodDescriptorProtoSchema,
  type MethodOptions_IdempotencyLevel,
  MethodOptionsSchema,
  ServiceDescriptorProtoSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import {
  FieldRulesSchema,
  field as rulesOption,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { type HttpRule, HttpRuleSchema } from "../../gen/google/api/http_pb.ts";
import type { Code } from "../../gen/google/rpc/code_pb.ts";
import {
  type Access,
  Level as AccessLevel,
  AccessSchema,
  method as access,
} from "../../gen/mesh/auth/v1/auth_pb.ts";
import { code } from "../../gen/mesh/error/v1/error_pb.ts";
import { type Contract, ContractSchema, contract } from "../../gen/mesh/event/v1/event_pb.ts";
import {
  type MethodPolicy,
  MethodPolicySchema,
  method as policy,
} from "../../gen/mesh/policy/v1/policy_pb.ts";
import { type Editor, editOption, setOption, textField } from "../../mesh/testing/edited-contracts.ts";

/** A change of the contracts of this repository. */
export type Edit = (editor: Editor) => void;

/** Several changes as one. */
export const all =
  (...edits: readonly Edit[]): Edit =>
  (editor) => {
    for (const edit of edits) edit(editor);
  };

/** Changes the call policy of an RPC. */
export const changePolicy =
  (name: string, change: (its: MethodPolicy) => void): Edit =>
  ({ method }) =>
    editOption(method(name), policy, change);

/** Changes who may call an RPC. */
export const changeAccess =
  (name: string, change: (its: Access) => void): Edit =>
  ({ method }) =>
    editOption(method(name), access, change);

/** Changes whether an RPC may be repeated. */
export const changeIdempotency =
  (name: string, level: MethodOptions_IdempotencyLevel): Edit =>
  ({ method }) => {
    method(name).options ??= create(MethodOptionsSchema);
    Object.assign(method(name).options ?? {}, { idempotencyLevel: level });
  };

/** Changes the route of an RPC. */
export const changeRoute =
  (name: string, change: (its: HttpRule) => void): Edit =>
  ({ method }) =>
    editOption(method(name), http, change);

/** A route as JSON has it. */
export const route = (json: JsonValue) => fromJson(HttpRuleSchema, json);

/** Takes an option of an RPC away. */
export const dropFromMethod =
  (name: string, option: typeof policy | typeof http | typeof access): Edit =>
  ({ method }) => {
    const { options } = method(name);
    if (options) clearExtension(options, option as typeof policy);
  };

/** Puts these rules, as JSON has them, in the place of a field's. */
export const changeRules =
  (name: string, json: JsonValue): Edit =>
  ({ field }) =>
    setOption(field(name), rulesOption, fromJson(FieldRulesSchema, json));

/** Changes the contract of an event or command. */
export const changeEvent =
  (name: string, change: (its: Contract) => void): Edit =>
  ({ message }) =>
    editOption(message(name), contract, change);

/** Adds a field to a message, a text unless it says otherwise, with these rules. */
export const addField =
  (message: string, name: string, rules?: JsonValue, its: Partial<FieldDescriptorProto> = {}): Edit =>
  (editor) => {
    const field = Object.assign(textField(name, 900), its);
    if (rules !== undefined) setOption(field, rulesOption, fromJson(FieldRulesSchema, rules));
    editor.message(message).field.push(field);
  };

/** Adds a reason to the order service's, with its code. */
export const addReason =
  (name: string, its: Code | undefined): Edit =>
  (editor) => {
    const value = create(EnumValueDescriptorProtoSchema, { name, number: 900 });
    if (its !== undefined) setOption(value, code, its);
    editor.enum("shop.order.v1.OrderError").value.push(value);
  };

/** Adds an RPC for operators to a service, with a request and a response of its own, which hold one text: `order_id`. */
export const addMethod =
  (
    service: string,
    name: string,
    level: MethodOptions_IdempotencyLevel,
    its?: JsonValue,
    path?: JsonValue,
  ): Edit =>
  (editor) => {
    const typePackage = service.slice(0, service.lastIndexOf("."));
    const [, of = ""] = typePackage.split(".");
    const { messageType } = editor.file(`${typePackage.replaceAll(".", "/")}/${of}_service.proto`);
    for (const suffix of ["Request", "Response"])
      messageType.push(
        create(DescriptorProtoSchema, { name: `${name}${suffix}`, field: [textField("order_id", 1)] }),
      );
    const method = create(MethodDescriptorProtoSchema, {
      name,
      inputType: `.${typePackage}.${name}Request`,
      outputType: `.${typePackage}.${name}Response`,
      options: { idempotencyLevel: level },
    });
    setOption(method, access, create(AccessSchema, { level: AccessLevel.OPERATOR }));
    if (its !== undefined) setOption(method, policy, fromJson(MethodPolicySchema, its));
    if (path !== undefined) setOption(method, http, route(path));
    editor.service(service).method.push(method);
  };

/** Adds a service without methods to the order package. */
export const addService =
  (name: string): Edit =>
  ({ file }) =>
    void file("shop/order/v1/order_service.proto").service.push(
      create(ServiceDescriptorProtoSchema, { name }),
    );

/** Adds an event to those of the order service, with a text `order_id`. */
export const addEvent =
  (name: string, its: JsonValue): Edit =>
  ({ file }) => {
    const message = create(DescriptorProtoSchema, { name, field: [textField("order_id", 1)] });
    setOption(message, contract, fromJson(ContractSchema, its));
    file("shop/order/v1/order_event.proto").messageType.push(message);
  };

/** What a field is made of that is no text. */
export const LIST_OF_TEXT = { type: Type.STRING, label: Label.REPEATED };

import {
  create,
  createFileRegistry,
  type Message,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import type { GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel as Idempotency,
  MethodOptionsSchema,
  ServiceOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import {
  MethodPolicySchema,
  method as methodOption,
  ServicePolicySchema,
  service as serviceOption,
} from "../../gen/mesh/policy/v1/policy_pb.ts";

type Question = GenMessage<Message<"toy.Question"> & { text: string; requestId: string }>;
type Answer = GenMessage<Message<"toy.Answer"> & { text: string }>;

/** The methods of a toy's service, by what may be done with them. */
export type ToyService = GenService<{
  /** NO_SIDE_EFFECTS. */
  ask: { methodKind: "unary"; input: Question; output: Answer };
  /** Says nothing of idempotency; `request_id` is its key. */
  order: { methodKind: "unary"; input: Question; output: Answer };
  /** NO_SIDE_EFFECTS, one question and many answers. */
  watch: { methodKind: "server_streaming"; input: Question; output: Answer };
}>;

/** The policies that a toy's contract states. */
export interface ToyPolicies {
  readonly service?: Omit<MessageInitShape<typeof ServicePolicySchema>, "$typeName">;
  readonly ask?: Omit<MessageInitShape<typeof MethodPolicySchema>, "$typeName">;
  readonly order?: Omit<MessageInitShape<typeof MethodPolicySchema>, "$typeName">;
  readonly watch?: Omit<MessageInitShape<typeof MethodPolicySchema>, "$typeName">;
}

let count = 0;

/** Makes the contract of a service that tests invent, with these call policies, as its .proto would state them. */
export function toyService(policies: ToyPolicies = {}): ToyService {
  const typePackage = `test.calls${++count}.v1`;
  const method = (name: "Ask" | "Order" | "Watch", idempotency: Idempotency, serverStreaming = false) => {
    const options = create(MethodOptionsSchema, { idempotencyLevel: idempotency });
    const policy = {
      idempotencyKeyField: name === "Order" ? "request_id" : "",
      ...policies[name.toLowerCase() as "ask" | "order" | "watch"],
    };
    setExtension(options, methodOption, create(MethodPolicySchema, policy));
    return {
      name,
      inputType: `.${typePackage}.Question`,
      outputType: `.${typePackage}.Answer`,
      serverStreaming,
      options,
    };
  };
  const options = create(ServiceOptionsSchema);
  setExtension(options, serviceOption, create(ServicePolicySchema, policies.service ?? {}));
  const file = create(FileDescriptorProtoSchema, {
    name: `test/calls${count}/v1/toy.proto`,
    package: typePackage,
    syntax: "proto3",
    messageType: [
      { name: "Question", field: [text("text", 1), text("request_id", 2, "requestId")] },
      { name: "Answer", field: [text("text", 1)] },
    ],
    service: [
      {
        name: "ToyService",
        method: [
          method("Ask", Idempotency.NO_SIDE_EFFECTS),
          method("Order", Idempotency.IDEMPOTENCY_UNKNOWN),
          method("Watch", Idempotency.NO_SIDE_EFFECTS, true),
        ],
        options,
      },
    ],
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  return registry.getService(`${typePackage}.ToyService`) as unknown as ToyService;
}

function text(name: string, number: number, jsonName = name) {
  return {
    name,
    number,
    jsonName,
    type: FieldDescriptorProto_Type.STRING,
    label: FieldDescriptorProto_Label.OPTIONAL,
  };
}

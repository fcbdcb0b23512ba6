import {
  create,
  createFileRegistry,
  type DescService,
  type Message,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FileOptionsSchema,
  MessageOptionsSchema,
  ServiceOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import {
  ContractSchema,
  contract,
  Kind,
  Ordering,
  StreamSchema,
  SubscriptionSchema as Subscription,
  type SubscriptionSchema,
  stream,
  subscriptions,
} from "../../gen/mesh/event/v1/event_pb.ts";

/** An event of a toy. */
export type Toy<Name extends string> = Message<Name> & { toyId: string; n: number; text: string };

/** The contract of a service that tests invent: two events of one aggregate, a command, and subscriptions to them. */
export interface Toys {
  /** Handled by the subscription. */
  readonly Moved: GenMessage<Toy<"toy.Moved">>;
  /** Not handled by the subscription. */
  readonly Painted: GenMessage<Toy<"toy.Painted">>;
  /** A command to the service, which its subscription `commands` handles. Good for a minute. */
  readonly Fetch: GenMessage<Toy<"toy.Fetch">>;
  readonly service: DescService;
  readonly subscription: string;
  /** `<service>__<subscription>`. */
  readonly consumer: string;
  readonly stream: string;
  readonly aggregate: string;
}

let count = 0;

/** Makes a contract whose names nothing else has, so that tests share a broker and not its streams. */
export function toys(
  subscription: Omit<MessageInitShape<typeof SubscriptionSchema>, "$typeName"> = {},
  // Small, because the broker sets aside as much disk for each.
  {
    maxBytes = 2 ** 24,
    replicas = 1,
    senders = [],
  }: { readonly maxBytes?: number; readonly replicas?: number; readonly senders?: readonly string[] } = {},
): Toys {
  const aggregate = `toy${++count}`;
  const streamName = `EVT_${aggregate.toUpperCase()}`;
  const typePackage = `test.${aggregate}.v1`;
  const message = (name: string, stated: MessageInitShape<typeof ContractSchema>) => ({
    name,
    field: [
      field("toy_id", 1, FieldDescriptorProto_Type.STRING),
      field("n", 2, FieldDescriptorProto_Type.INT32),
      field("text", 3, FieldDescriptorProto_Type.STRING),
    ],
    options: withOption(create(MessageOptionsSchema), (options) =>
      setExtension(options, contract, create(ContractSchema, stated)),
    ),
  });
  const common = { owner: aggregate, aggregate, key: "toy_id" };
  const event = { ...common, kind: Kind.EVENT, ordering: Ordering.STRICT };
  const command = { ...common, kind: Kind.COMMAND, ttl: { seconds: 60n }, senders: [...senders] };
  const declared = create(Subscription, {
    name: "moves",
    aggregate,
    handles: [`${typePackage}.Moved`],
    ordering: Ordering.STRICT,
    ...subscription,
  });
  const commands = create(Subscription, {
    name: "commands",
    kind: Kind.COMMAND,
    aggregate,
    handles: [`${typePackage}.Fetch`],
  });
  const inStream = (name: string) =>
    withOption(create(FileOptionsSchema), (options) =>
      setExtension(options, stream, create(StreamSchema, { name, maxBytes: BigInt(maxBytes), replicas })),
    );
  const file = create(FileDescriptorProtoSchema, {
    name: `test/${aggregate}/v1/toy.proto`,
    package: typePackage,
    syntax: "proto3",
    messageType: [message("Moved", event), message("Painted", event)],
    service: [
      {
        name: "ToyService",
        options: withOption(create(ServiceOptionsSchema), (options) =>
          setExtension(options, subscriptions, [declared, commands]),
        ),
      },
    ],
    options: inStream(streamName),
  });
  const commandFile = create(FileDescriptorProtoSchema, {
    name: `test/${aggregate}/v1/toy_command.proto`,
    package: typePackage,
    syntax: "proto3",
    messageType: [message("Fetch", command)],
    options: inStream(`CMD_${aggregate.toUpperCase()}`),
  });
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file, commandFile] }));
  return {
    Moved: registry.getMessage(`${typePackage}.Moved`) as Toys["Moved"],
    Painted: registry.getMessage(`${typePackage}.Painted`) as Toys["Painted"],
    Fetch: registry.getMessage(`${typePackage}.Fetch`) as Toys["Fetch"],
    service: registry.getService(`${typePackage}.ToyService`) as DescService,
    subscription: declared.name,
    consumer: `${aggregate}__${declared.name}`,
    stream: streamName,
    aggregate,
  };
}

function field(name: string, number: number, type: FieldDescriptorProto_Type) {
  return { name, number, type, label: FieldDescriptorProto_Label.OPTIONAL };
}

function withOption<T>(options: T, set: (options: T) => void): T {
  set(options);
  return options;
}

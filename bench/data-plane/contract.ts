import { create, createFileRegistry, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel as Idempotency,
  FieldDescriptorProto_Label as Label,
  MethodOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

/** What is sent and answered: a text, a number of 64 bits and a list. */
export interface Item {
  readonly id: string;
  readonly n: bigint;
  readonly tags: readonly string[];
}

type ItemMessage = GenMessage<Message<"weft.bench.v1.Item"> & { id: string; n: bigint; tags: string[] }>;
type ListRequest = GenMessage<Message<"weft.bench.v1.ListRequest"> & { count: number }>;

const PACKAGE = "weft.bench.v1";
const item = `.${PACKAGE}.Item`;
const registry = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      create(FileDescriptorProtoSchema, {
        name: "item.proto",
        package: PACKAGE,
        syntax: "proto3",
        messageType: [
          {
            name: "Item",
            field: [
              { name: "id", number: 1, type: Type.STRING, label: Label.OPTIONAL },
              { name: "n", number: 2, type: Type.INT64, label: Label.OPTIONAL },
              { name: "tags", number: 3, type: Type.STRING, label: Label.REPEATED },
            ],
          },
          {
            name: "ListRequest",
            field: [{ name: "count", number: 1, type: Type.UINT32, label: Label.OPTIONAL }],
          },
        ],
        service: [
          {
            name: "ItemService",
            method: [
              {
                name: "Echo",
                inputType: item,
                outputType: item,
                options: create(MethodOptionsSchema, { idempotencyLevel: Idempotency.NO_SIDE_EFFECTS }),
              },
              { name: "List", inputType: `.${PACKAGE}.ListRequest`, outputType: item, serverStreaming: true },
              {
                name: "Chat",
                inputType: item,
                outputType: item,
                clientStreaming: true,
                serverStreaming: true,
              },
            ],
          },
        ],
      }),
    ],
  }),
);

/**
 * Echo answers with the item that it is given, Chat each of a stream with the same, and List gives so many small ones.
 * Its policies are the defaults.
 */
export const ItemService = registry.getService(`${PACKAGE}.ItemService`) as unknown as GenService<{
  echo: { methodKind: "unary"; input: ItemMessage; output: ItemMessage };
  list: { methodKind: "server_streaming"; input: ListRequest; output: ItemMessage };
  chat: { methodKind: "bidi_streaming"; input: ItemMessage; output: ItemMessage };
}>;

/** The paths of the methods. */
export const [ECHO_PATH, LIST_PATH, CHAT_PATH] = [
  `/${ItemService.typeName}/Echo`,
  `/${ItemService.typeName}/List`,
  `/${ItemService.typeName}/Chat`,
] as const;

/** How long each unary call may take, with every peer. Milliseconds. */
export const TIMEOUT_MS = 1_000;

/** How long a stream may take. Milliseconds. */
export const STREAM_TIMEOUT_MS = 60_000;

/** The largest message that peers are told to take, in bytes. */
export const MAX_BYTES = 4 * 2 ** 20;

const { input: request } = ItemService.method.list;
const { output: message } = ItemService.method.list;

/** Writes and reads the messages, for peers that let one choose: then the codec is the same for all. */
export const codec = {
  write: ({ id, n, tags }: Item) =>
    toBuffer(toBinary(message, create(message, { id, n, tags: tags as string[] }))),
  read: (bytes: Uint8Array): Item => fromBinary(message, bytes),
  writeRequest: (count: number) => toBuffer(toBinary(request, create(request, { count }))),
  readRequest: (bytes: Uint8Array) => fromBinary(request, bytes).count,
};

function toBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** The items that are sent, by the size that they have on the wire. */
export const ITEMS = {
  "20 B": { id: "sku-12345", n: 42n, tags: ["a", "bb"] },
  "1 KiB": { id: "sku-12345", n: 42n, tags: Array<string>(3).fill("t".repeat(334)) },
  "1 MiB": { id: "sku-12345", n: 42n, tags: ["t".repeat(1_048_559)] },
} as const satisfies Record<string, Item>;

/** The size of an item on the wire. */
export type Size = keyof typeof ITEMS;

/** What List gives, again and again. */
export const LISTED: Item = ITEMS["20 B"];

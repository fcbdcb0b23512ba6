import { create, createFileRegistry, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel as Idempotency,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";

type EchoRequest = GenMessage<Message<"weft.bench.v1.EchoRequest"> & { text: string }>;
type EchoResponse = GenMessage<Message<"weft.bench.v1.EchoResponse"> & { text: string }>;

const PACKAGE = "weft.bench.v1";
const registry = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      create(FileDescriptorProtoSchema, {
        name: "echo.proto",
        package: PACKAGE,
        syntax: "proto3",
        messageType: [textMessage("EchoRequest"), textMessage("EchoResponse")],
        service: [
          {
            name: "EchoService",
            method: [
              {
                name: "Echo",
                inputType: `.${PACKAGE}.EchoRequest`,
                outputType: `.${PACKAGE}.EchoResponse`,
                options: create(MethodOptionsSchema, { idempotencyLevel: Idempotency.NO_SIDE_EFFECTS }),
              },
            ],
          },
        ],
      }),
    ],
  }),
);

function textMessage(name: string) {
  const type = FieldDescriptorProto_Type.STRING;
  return { name, field: [{ name: "text", number: 1, type, label: FieldDescriptorProto_Label.OPTIONAL }] };
}

/** Answers with what it is given. Its policies are the defaults; `peers/echo.proto` says the same. */
export const EchoService = registry.getService(`${PACKAGE}.EchoService`) as unknown as GenService<{
  echo: { methodKind: "unary"; input: EchoRequest; output: EchoResponse };
}>;

/** The path of Echo. */
export const ECHO_PATH = `/${PACKAGE}.EchoService/Echo`;

/** How long each call may take, with every peer. Milliseconds. */
export const TIMEOUT_MS = 5_000;

const { input, output } = EchoService.method.echo;

/** Writes and reads the messages of Echo, for peers that let one choose: then the codec is the same for all. */
export const codec = {
  writeRequest: (text: string) => toBuffer(toBinary(input, create(input, { text }))),
  readRequest: (bytes: Uint8Array) => fromBinary(input, bytes).text,
  writeResponse: (text: string) => toBuffer(toBinary(output, create(output, { text }))),
  readResponse: (bytes: Uint8Array) => fromBinary(output, bytes).text,
};

function toBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import type { GenMessage, GenService } from "@bufbuild/protobuf/codegenv2";
import {
  FieldDescriptorProto_Label,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

/** What a request asks for beside its answer. */
export type Act =
  /** Nothing. */
  | ""
  /** To be refused, after the answers. */
  | "fail"
  /** No end, after the answers. */
  | "hang"
  /** How many calls that hang the server has seen cancelled, as the count of the answer. */
  | "cancelled";

type Request = GenMessage<
  Message<"weft.interop.v1.Request"> & { payload: Uint8Array; answers: number; act: Act }
>;
type Response = GenMessage<Message<"weft.interop.v1.Response"> & { payload: Uint8Array; count: number }>;

const PACKAGE = "weft.interop.v1";
const registry = createFileRegistry(
  create(FileDescriptorSetSchema, {
    file: [
      create(FileDescriptorProtoSchema, {
        name: "interop.proto",
        package: PACKAGE,
        syntax: "proto3",
        messageType: [
          {
            name: "Request",
            field: [
              field("payload", 1, Type.BYTES),
              field("answers", 2, Type.UINT32),
              field("act", 3, Type.STRING),
            ],
          },
          { name: "Response", field: [field("payload", 1, Type.BYTES), field("count", 2, Type.UINT32)] },
        ],
        service: [
          {
            name: "InteropService",
            method: [
              method("Unary", false, false),
              method("ClientStream", true, false),
              method("ServerStream", false, true),
              method("BidiStream", true, true),
            ],
          },
        ],
      }),
    ],
  }),
);

function field(name: string, number: number, type: Type) {
  return { name, number, type, label: FieldDescriptorProto_Label.OPTIONAL };
}

function method(name: string, clientStreaming: boolean, serverStreaming: boolean) {
  const types = { inputType: `.${PACKAGE}.Request`, outputType: `.${PACKAGE}.Response` };
  return { name, clientStreaming, serverStreaming, ...types };
}

/** A service of every kind of method. `service.ts` says what it does; the peer in Go has the same written in Go. */
export const InteropService = registry.getService(`${PACKAGE}.InteropService`) as unknown as GenService<{
  /** Answers with the payload, and with the milliseconds that are left of the deadline as the count. */
  unary: { methodKind: "unary"; input: Request; output: Response };
  /** Answers with the last payload, and with the number of requests as the count. */
  clientStream: { methodKind: "client_streaming"; input: Request; output: Response };
  /** Answers as often as it is asked to, and counts from 0. */
  serverStream: { methodKind: "server_streaming"; input: Request; output: Response };
  /** Answers each request with its payload. The count is how many such streams were open when this one began. */
  bidiStream: { methodKind: "bidi_streaming"; input: Request; output: Response };
}>;

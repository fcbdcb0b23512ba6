import { create, type DescFile, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import {
  ErrorResponseSchema,
  ExtensionNumberResponseSchema,
  FileDescriptorResponseSchema,
  ListServiceResponseSchema,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
  ServerReflection as V1,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as V1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";

type Answer = ServerReflectionResponse["messageResponse"];

/**
 * Answers gRPC server reflection, v1 and v1alpha, from the descriptors of these files and all that they import. The
 * descriptors go out whole, so custom options survive.
 */
export function reflection(
  router: ConnectRouter,
  services: readonly string[],
  files: readonly DescFile[],
): void {
  const index = new Index([...files, V1.file, V1Alpha.file]);
  const names = [...services, V1.typeName, V1Alpha.typeName];
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
    for await (const request of requests) {
      yield create(ServerReflectionResponseSchema, {
        validHost: request.host,
        originalRequest: request,
        messageResponse: answer(index, names, request.messageRequest),
      });
    }
  }
  router.service(V1, { serverReflectionInfo });
  // v1alpha has the same messages under another name.
  router.service(V1Alpha, { serverReflectionInfo: serverReflectionInfo as never });
}

function answer(
  index: Index,
  services: readonly string[],
  asked: ServerReflectionRequest["messageRequest"],
): Answer {
  switch (asked.case) {
    case "listServices":
      return {
        case: "listServicesResponse",
        value: create(ListServiceResponseSchema, { service: services.map((name) => ({ name })) }),
      };
    case "fileByFilename":
      return index.files(index.byName.get(asked.value), asked.value);
    case "fileContainingSymbol":
      return index.files(index.bySymbol.get(asked.value), asked.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = asked.value;
      const name = `extension ${extensionNumber} of ${containingType}`;
      return index.files(index.extensions.get(containingType)?.get(extensionNumber), name);
    }
    case "allExtensionNumbersOfType": {
      const numbers = index.extensions.get(asked.value);
      if (!numbers && !index.bySymbol.has(asked.value)) return notFound(asked.value);
      const extensionNumber = [...(numbers?.keys() ?? [])];
      return {
        case: "allExtensionNumbersResponse",
        value: create(ExtensionNumberResponseSchema, { baseTypeName: asked.value, extensionNumber }),
      };
    }
    default:
      return error(Code.InvalidArgument, "the request asks for nothing");
  }
}

class Index {
  readonly byName = new Map<string, DescFile>();
  readonly bySymbol = new Map<string, DescFile>();
  readonly extensions = new Map<string, Map<number, DescFile>>();

  constructor(files: readonly DescFile[]) {
    for (const file of files) this.add(file);
  }

  /** A file with all that it imports, so that one answer is enough to use it. */
  files(file: DescFile | undefined, name: string): Answer {
    if (!file) return notFound(name);
    const all = withImports(file);
    const fileDescriptorProto = [...all].map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
    return {
      case: "fileDescriptorResponse",
      value: create(FileDescriptorResponseSchema, { fileDescriptorProto }),
    };
  }

  private add(file: DescFile): void {
    if (this.byName.has(file.proto.name)) return;
    this.byName.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      if (type.kind === "extension") {
        const numbers = this.extensions.get(type.extendee.typeName) ?? new Map<number, DescFile>();
        this.extensions.set(type.extendee.typeName, numbers.set(type.number, file));
      }
      for (const symbol of symbolsOf(type)) this.bySymbol.set(symbol, file);
    }
    for (const each of file.dependencies) this.add(each);
  }
}

type NestedType = ReturnType<typeof nestedTypes> extends Iterable<infer T> ? T : never;

function symbolsOf(type: NestedType): string[] {
  switch (type.kind) {
    case "message":
      return [type.typeName, ...fieldNames(type)];
    case "enum":
      // Values are siblings of their enum, not its children.
      return [type.typeName, ...type.values.map((v) => type.typeName.replace(/[^.]*$/, v.name))];
    case "service":
      return [type.typeName, ...type.methods.map((m) => `${type.typeName}.${m.name}`)];
    case "extension":
      return [type.typeName];
  }
}

function fieldNames(message: DescMessage): string[] {
  return [...message.fields, ...message.oneofs].map((member) => `${message.typeName}.${member.name}`);
}

function withImports(file: DescFile, all = new Set<DescFile>()): Set<DescFile> {
  if (all.has(file)) return all;
  all.add(file);
  for (const each of file.dependencies) withImports(each, all);
  return all;
}

function notFound(name: string): Answer {
  return error(Code.NotFound, `there is no ${name} here`);
}

function error(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: create(ErrorResponseSchema, { errorCode, errorMessage }) };
}

import {
  create,
  createFileRegistry,
  type DescService,
  fromBinary,
  getOption,
  type Registry,
} from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { field } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  ServerReflection,
  type ServerReflectionResponse,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as V1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { subscriptions } from "../../../gen/mesh/event/v1/event_pb.ts";
import { ReviewService } from "../../../gen/shop/review/v1/review_service_pb.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { meshClient } from "../client/client.ts";

const server = await testServer(ReviewService, {});
const transport = WIRE_PROTOCOLS[0]?.open(server) as never;
const SERVICE = ReviewService.typeName;
const SERVICE_FILE = "shop/review/v1/review_service.proto";

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", V1Alpha],
])("reflection %s", (_, version) => {
  const client = meshClient(version as typeof ServerReflection, transport);
  type Question = ServerReflectionResponse["originalRequest"];
  type Asked = NonNullable<Question>["messageRequest"];

  async function ask(...questions: Asked[]) {
    async function* requests() {
      for (const messageRequest of questions) yield { host: "h", messageRequest } as never;
    }
    const answers = await Array.fromAsync(client.serverReflectionInfo(requests()));
    return answers.map((answer) => answer.messageResponse);
  }

  /** The files of an answer. Throws if it has none. */
  async function filesOf(question: Asked): Promise<FileDescriptorProto[]> {
    const [answer] = await ask(question);
    if (answer?.case !== "fileDescriptorResponse") throw new Error(`the answer is ${JSON.stringify(answer)}`);
    return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
  }

  async function registryOf(question: Asked): Promise<Registry> {
    const files = new Map((await filesOf(question)).map((file) => [file.name, file]));
    // A registry wants each file after those that it imports.
    const file: FileDescriptorProto[] = [];
    const add = (name: string) => {
      const found = files.get(name);
      if (!found) return;
      files.delete(name);
      found.dependency.forEach(add);
      file.push(found);
    };
    for (const name of [...files.keys()]) add(name);
    return createFileRegistry(create(FileDescriptorSetSchema, { file }));
  }

  const symbol = (value: string): Asked => ({ case: "fileContainingSymbol", value });

  test("lists the services: its own, health, and itself", async () => {
    const [answer] = await ask({ case: "listServices", value: "" });
    if (answer?.case !== "listServicesResponse") throw new Error("no list");
    expect(answer.value.service.map(({ name }) => name)).toEqual([
      SERVICE,
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  test("has a file by its name, with all that it imports", async () => {
    const files = await filesOf({ case: "fileByFilename", value: SERVICE_FILE });
    const names = files.map((file) => file.name);
    expect(names[0]).toBe(SERVICE_FILE);
    expect(new Set(names).size).toBe(names.length);
    for (const file of files) expect(names).toEqual(expect.arrayContaining(file.dependency));
  });

  test.each([
    ["a service", SERVICE, SERVICE_FILE],
    ["a method", `${SERVICE}.CreateReview`, SERVICE_FILE],
    ["a message", "shop.review.v1.Review", "shop/review/v1/review.proto"],
    ["a field", "shop.review.v1.Review.rating", "shop/review/v1/review.proto"],
    ["an enum", "mesh.event.v1.Kind", "mesh/event/v1/event.proto"],
    ["an enum's value", "mesh.event.v1.KIND_EVENT", "mesh/event/v1/event.proto"],
    ["an extension", "mesh.event.v1.subscriptions", "mesh/event/v1/event.proto"],
    [
      "a nested message",
      "google.protobuf.DescriptorProto.ExtensionRange",
      "google/protobuf/descriptor.proto",
    ],
    [
      "a nested enum's value",
      "google.protobuf.FieldDescriptorProto.TYPE_INT64",
      "google/protobuf/descriptor.proto",
    ],
    ["a detail of errors", "google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
    ["health", "grpc.health.v1.Health", "grpc/health/v1/health.proto"],
    ["itself", "grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"],
  ])("finds the file of %s", async (_, name, file) => {
    expect((await filesOf(symbol(name)))[0]?.name).toBe(file);
  });

  test("knows the extensions of a type, and the file of each", async () => {
    const containingType = "google.protobuf.ServiceOptions";
    const [numbers, file] = await ask(
      { case: "allExtensionNumbersOfType", value: containingType },
      {
        case: "fileContainingExtension",
        value: { containingType, extensionNumber: subscriptions.number } as never,
      },
    );
    expect(numbers).toMatchObject({
      case: "allExtensionNumbersResponse",
      value: { baseTypeName: containingType, extensionNumber: [50612, 51003, 50611, 50610] },
    });
    expect(file?.case).toBe("fileDescriptorResponse");
  });

  test("a type without extensions has none", async () => {
    const [none] = await ask({ case: "allExtensionNumbersOfType", value: "shop.review.v1.Review" });
    expect(none).toMatchObject({ value: { extensionNumber: [] } });
  });

  test("what is not here is NOT_FOUND, and the conversation goes on", async () => {
    const answers = await ask(
      symbol("shop.order.v1.OrderService"),
      { case: "fileByFilename", value: "nothing.proto" },
      { case: "allExtensionNumbersOfType", value: "no.Type" },
      {
        case: "fileContainingExtension",
        value: { containingType: "google.protobuf.ServiceOptions", extensionNumber: 1 } as never,
      },
      { case: undefined },
      { case: "listServices", value: "" },
    );
    expect(
      answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case)),
    ).toEqual([
      Code.NotFound,
      Code.NotFound,
      Code.NotFound,
      Code.NotFound,
      Code.InvalidArgument,
      "listServicesResponse",
    ]);
  });

  test("custom options come over the wire: subscriptions, idempotency, rules", async () => {
    const registry = await registryOf(symbol(SERVICE));
    const service = registry.getService(SERVICE) as DescService;
    expect(getOption(service, subscriptions)).toMatchObject([
      { name: "buyers", aggregate: "order", handles: ["shop.order.v1.OrderConfirmed"] },
    ]);
    expect(service.method.getReview?.idempotency).toBe(ReviewService.method.getReview.idempotency);
    const rating = registry.getMessage("shop.review.v1.CreateReviewRequest")?.field.rating;
    expect(rating && getOption(rating, field).type).toMatchObject({ case: "int32" });
  });
});

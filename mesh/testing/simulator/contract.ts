import { create, createFileRegistry, type DescMethodUnary, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel,
} from "@bufbuild/protobuf/wkt";

const NAME = "test.simulation.v1";

const file = create(FileDescriptorProtoSchema, {
  name: "test/simulation/v1/simulation.proto",
  package: NAME,
  syntax: "proto3",
  messageType: [{ name: "WorkRequest" }, { name: "WorkResponse" }],
  service: [
    {
      name: "SimulatedService",
      method: [
        {
          name: "Work",
          inputType: `.${NAME}.WorkRequest`,
          outputType: `.${NAME}.WorkResponse`,
          options: { idempotencyLevel: MethodOptions_IdempotencyLevel.IDEMPOTENT },
        },
      ],
    },
  ],
});
const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));

/** The service that simulated servers offer. Its contract states nothing, so that the mesh's defaults hold. */
export const SimulatedService = registry.getService(`${NAME}.SimulatedService`) as DescService;

/** Its one method, which is idempotent. */
export const work = SimulatedService.methods[0] as DescMethodUnary;

import { create } from "@bufbuild/protobuf";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import {
  CheckRequestSchema,
  CheckResponseSchema,
  ListCategoriesRequestSchema,
  ListCategoriesResponseSchema,
  ListRulesRequestSchema,
  ListRulesResponseSchema,
  RuleType,
} from "../../../gen/buf/plugin/check/v1/check_pb.ts";
import type { FileDescriptor } from "../../../gen/buf/plugin/descriptor/v1/file_descriptor_pb.ts";
import { type Contracts, contractsOf } from "./contracts.ts";
import { procedure } from "./plugin-rpc.ts";
import type { Finding } from "./rule.ts";
import { fileOf, sourcePath } from "./source-path.ts";

/** The category that buf.yaml names to have all of these rules. */
const CATEGORY = "MESH";

/** What buf asks of a plugin that checks. Its service is not in our contracts: it has no policy of ours. */
export const procedures = [
  procedure({
    path: "/buf.plugin.check.v1.CheckService/ListCategories",
    input: ListCategoriesRequestSchema,
    output: ListCategoriesResponseSchema,
    answer: () =>
      create(ListCategoriesResponseSchema, {
        categories: [{ id: CATEGORY, purpose: "Checks what only this mesh knows of its contracts." }],
      }),
  }),
  procedure({
    path: "/buf.plugin.check.v1.CheckService/ListRules",
    input: ListRulesRequestSchema,
    output: ListRulesResponseSchema,
    answer: async () =>
      create(ListRulesResponseSchema, {
        rules: (await rules()).map((rule) => ({
          id: rule.id,
          purpose: rule.purpose,
          categoryIds: [CATEGORY],
          type: "check" in rule ? RuleType.LINT : RuleType.BREAKING,
        })),
      }),
  }),
  procedure({
    path: "/buf.plugin.check.v1.CheckService/Check",
    input: CheckRequestSchema,
    output: CheckResponseSchema,
    answer: async ({ fileDescriptors, againstFileDescriptors, ruleIds }) => {
      const now = contracts(fileDescriptors);
      const before = contracts(againstFileDescriptors);
      const annotations = (await rules())
        .filter(({ id }) => ruleIds.includes(id))
        .flatMap((rule) =>
          [...("check" in rule ? rule.check(now) : rule.compare(before, now))].map((finding) => ({
            ruleId: rule.id,
            message: finding.message,
            fileLocation: locationOf(finding),
          })),
        );
      return create(CheckResponseSchema, { annotations });
    },
  }),
];

/** Loaded when they are asked for: of the many times that buf starts a plugin for one command, most ask for less. */
async function rules() {
  return (await import("./every-rule.ts")).everyRule;
}

function contracts(files: readonly FileDescriptor[]): Contracts {
  const imported = new Set(
    files.filter((file) => file.isImport).map((file) => file.fileDescriptorProto?.name),
  );
  const protos = files.map((file) => file.fileDescriptorProto).filter((file) => file !== undefined);
  return contractsOf(protos, ({ name }: FileDescriptorProto) => !imported.has(name));
}

function locationOf({ at, option }: Finding) {
  return { fileName: fileOf(at).proto.name, sourcePath: sourcePath(at, option) };
}

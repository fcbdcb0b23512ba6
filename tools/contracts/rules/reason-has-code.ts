import { hasOption } from "@bufbuild/protobuf";
import { code } from "../../../gen/mesh/error/v1/error_pb.ts";
import { enumsOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/** An error whose reason has no code would leave its service as INTERNAL. */
export const rule: LintRule = {
  id: "MESH_REASON_HAS_CODE",
  purpose: "Checks that every reason of a *_error.proto but its zero value states its gRPC code.",
  *check(contracts) {
    for (const { file, values } of enumsOf(contracts)) {
      if (!isOfErrors(file.proto.name)) continue;
      for (const at of values.filter(({ number }) => number !== 0))
        if (!hasOption(at, code)) yield { at, message: `${at.name} states no (mesh.error.v1.code).` };
    }
  },
};

/** True for the files whose enums are reasons. */
export function isOfErrors(file: string): boolean {
  return /(^|[/_])error\.proto$/.test(file);
}

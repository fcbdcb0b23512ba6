import { type DescMethod, hasOption, isFieldSet } from "@bufbuild/protobuf";
import { MethodOptionsSchema } from "@bufbuild/protobuf/wkt";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { methodName } from "../../../mesh/contract/policy.ts";
import { methodsOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/** Defaults are for the parts of a policy. Whether a method may be repeated, and how it is called, is nobody's guess. */
export const rule: LintRule = {
  id: "MESH_RPC_HAS_POLICY",
  purpose: "Checks that every RPC states whether it is safe to repeat, and its call policy.",
  *check(contracts) {
    for (const method of methodsOf(contracts)) {
      if (!statesIdempotency(method))
        yield { at: method, message: `${methodName(method)} states no idempotency_level.` };
      if (!hasOption(method, policy))
        yield { at: method, message: `${methodName(method)} states no (mesh.policy.v1.method).` };
    }
  },
};

function statesIdempotency({ proto }: DescMethod): boolean {
  return proto.options !== undefined && isFieldSet(proto.options, MethodOptionsSchema.field.idempotencyLevel);
}

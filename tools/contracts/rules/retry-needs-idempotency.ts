import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { methodOptions, methodPolicy } from "../../../mesh/contract/policy.ts";
import { methodsOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/**
 * A method that says nothing is retried only where nobody began to process it. One that asks for more attempts means
 * more than that, so it must say what makes a second one harmless.
 */
export const rule: LintRule = {
  id: "MESH_RETRY_NEEDS_IDEMPOTENCY",
  purpose: "Checks that an RPC that asks for retries or hedges is idempotent, or has an idempotency key.",
  *check(contracts) {
    for (const method of methodsOf(contracts)) {
      const { redundancy } = methodOptions(method);
      const asks =
        redundancy.case === "hedge" || (redundancy.case === "retry" && redundancy.value.maxAttempts > 1);
      const { name, isIdempotent, keyField, notProcessedCodes } = methodPolicy(method);
      if (!asks || isIdempotent || keyField !== undefined || notProcessedCodes.length > 0) continue;
      const needs = "an idempotency_level of IDEMPOTENT or NO_SIDE_EFFECTS, or an idempotency_key_field";
      yield {
        at: method,
        option: policy,
        message: `${name} asks for more than one attempt, so it needs ${needs}.`,
      };
    }
  },
};

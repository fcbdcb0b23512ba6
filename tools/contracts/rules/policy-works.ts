import { method, service } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { findPolicyProblems } from "../../../mesh/contract/policy-problems.ts";
import { servicesOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/** What every process refuses when it starts is said before anybody starts one. */
export const rule: LintRule = {
  id: "MESH_POLICY_WORKS",
  purpose: "Checks that no call policy contradicts itself, its method or its service.",
  *check(contracts) {
    for (const { at, name, what } of servicesOf(contracts).flatMap((each) => findPolicyProblems(each)))
      yield { at, option: at.kind === "rpc" ? method : service, message: `${name}: ${what}.` };
  },
};

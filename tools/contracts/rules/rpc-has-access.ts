import { method as access } from "../../../gen/mesh/auth/v1/auth_pb.ts";
import { accessProblems } from "../../../mesh/contract/access.ts";
import { methodName } from "../../../mesh/contract/policy.ts";
import { methodsOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/** Who may call is nobody's guess, and no default of the mesh. */
export const rule: LintRule = {
  id: "MESH_RPC_HAS_ACCESS",
  purpose:
    "Checks that every RPC, or its service, states who may call it, and that this can be told of a call.",
  *check(contracts) {
    for (const method of methodsOf(contracts)) {
      for (const what of accessProblems(method))
        yield { at: method, option: access, message: `${methodName(method)} ${what}.` };
    }
  },
};

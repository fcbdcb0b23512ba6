import { hasOption } from "@bufbuild/protobuf";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { CRITICALITIES, methodPolicy } from "../../../mesh/contract/policy.ts";
import { keptMethods } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

/** A caller whose calls were refused last would find them refused first, though nobody changed its code. */
export const rule: BreakingRule = {
  id: "MESH_CRITICALITY_NOT_LOWERED",
  purpose: "Checks that no RPC matters less under overload than it was promised.",
  *compare(before, now) {
    for (const [was, is] of keptMethods(before, now)) {
      // Contracts are older than policies: who stated none promised nothing.
      if (!hasOption(was, policy)) continue;
      const [old, present] = [methodPolicy(was), methodPolicy(is)];
      if (CRITICALITIES.indexOf(present.criticality) <= CRITICALITIES.indexOf(old.criticality)) continue;
      const message = `${present.name} lowers its criticality from ${old.criticality} to ${present.criticality}.`;
      yield { at: is, option: policy, message };
    }
  },
};

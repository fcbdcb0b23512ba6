import { hasOption } from "@bufbuild/protobuf";
import { method as policy } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { methodPolicy } from "../../../mesh/contract/policy.ts";
import { keptMethods } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

const TIMES = { timeout: "timeoutMs", max_timeout: "maxTimeoutMs", idle_timeout: "idleTimeoutMs" } as const;

/** A caller that was content with the old time fails with the new one, though nobody changed its code. */
export const rule: BreakingRule = {
  id: "MESH_TIMEOUT_NOT_SHORTENED",
  purpose: "Checks that no RPC gets less time than it was promised.",
  *compare(before, now) {
    for (const [was, is] of keptMethods(before, now)) {
      // Contracts are older than policies: who stated none promised nothing.
      if (!hasOption(was, policy)) continue;
      const [old, present] = [methodPolicy(was), methodPolicy(is)];
      for (const [name, key] of Object.entries(TIMES)) {
        // An idle_timeout is for streams, a max_timeout for what is none.
        if ((key === "idleTimeoutMs") !== (is.methodKind !== "unary") && key !== "timeoutMs") continue;
        if (present[key] >= old[key]) continue;
        const message = `${present.name} shortens its ${name} from ${length(old[key])} to ${length(present[key])}.`;
        yield { at: is, option: policy, message };
      }
    }
  },
};

function length(ms: number): string {
  return ms === Number.POSITIVE_INFINITY ? "no limit" : `${ms} ms`;
}

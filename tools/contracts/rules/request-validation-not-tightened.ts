import { methodsOf } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";
import { changesWithin } from "../validation/changes-within.ts";

/** A request that was good must stay good, or its caller fails though nobody changed it. */
export const rule: BreakingRule = {
  id: "MESH_REQUEST_VALIDATION_NOT_TIGHTENED",
  purpose: "Checks that every request that was valid is still valid.",
  *compare(before, now) {
    const requests = methodsOf(now).map(({ input }) => input);
    for (const { at, option, is, what } of changesWithin(requests, before, now))
      if (is === "tighter")
        yield { at, option, message: `Fewer requests are valid: ${at.toString()}: ${what}.` };
  },
};

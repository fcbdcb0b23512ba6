import { type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { deprecation } from "../../../gen/mesh/policy/v1/deprecation_pb.ts";
import { servicesOf } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

/** Callers plan by the day that they were told: until then they have time. A day that is over gives nobody any. */
export const rule: BreakingRule = {
  id: "MESH_SUNSET_NOT_EARLIER",
  purpose: "Checks that nothing deprecated may be gone sooner than was said.",
  *compare(before, now) {
    const today = new Date().toISOString().slice(0, 10);
    for (const service of servicesOf(before)) {
      const at = now.registry.getService(service.typeName);
      const [was, is] = [sunsetOf(service), at && sunsetOf(at)];
      // Days are written so that their texts are in their order.
      if (!at || !was || !is || is >= was || was <= today) continue;
      const message = `${at.typeName} moves its sunset from ${was} to ${is}; callers were told that they have until ${was}.`;
      yield { at, option: deprecation, message };
    }
  },
};

/** Undefined while it is open. */
function sunsetOf(service: DescService): string | undefined {
  return hasOption(service, deprecation) ? getOption(service, deprecation).sunset || undefined : undefined;
}

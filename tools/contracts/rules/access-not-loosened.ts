import { method as option } from "../../../gen/mesh/auth/v1/auth_pb.ts";
import { type Access, accessOf, type Level } from "../../../mesh/contract/access.ts";
import { pathOf } from "../../../mesh/contract/field-path.ts";
import { methodName } from "../../../mesh/contract/policy.ts";
import { keptMethods } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

// Each lets in fewer people than the one before.
const FROM_LOOSEST: readonly Level[] = ["public", "customer", "self", "operator", "internal"];

/** What was kept behind a door must not stand open after an upgrade that nobody has looked at for that. */
export const rule: BreakingRule = {
  id: "MESH_ACCESS_NOT_LOOSENED",
  purpose: "Checks that no RPC lets in more callers than it did.",
  *compare(before, now) {
    for (const [was, is] of keptMethods(before, now)) {
      const [old, present] = [accessOf(was), accessOf(is)];
      // What states none promised nothing, and MESH_RPC_HAS_ACCESS names what cannot work.
      if (!old || !present) continue;
      for (const what of loosened(old, present))
        yield { at: is, option, message: `${methodName(is)} ${what}.` };
    }
  },
};

function* loosened(was: Access, is: Access): Generator<string> {
  if (FROM_LOOSEST.indexOf(is.level) < FROM_LOOSEST.indexOf(was.level))
    yield `is for ${is.level} now, and was for ${was.level}`;
  if (is.services && !was.services && was.level !== "public")
    yield "may be called by services in their own name now";
  if (was.level !== "self" || is.level !== "self") return;
  if (nameOf(was) !== nameOf(is)) yield `takes ${nameOf(is)} for the owner now, and took ${nameOf(was)}`;
}

function nameOf({ ownerPath }: Access): string {
  return ownerPath ? pathOf(ownerPath) : "what is kept";
}

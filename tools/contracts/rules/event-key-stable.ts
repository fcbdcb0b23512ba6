import { contract, type Ordering, OrderingSchema } from "../../../gen/mesh/event/v1/event_pb.ts";
import { strength } from "../../../mesh/contract/event-problems.ts";
import { keptEvents } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

/** The key decides which messages have an order at all, and consumers keep what they know by it. */
export const rule: BreakingRule = {
  id: "MESH_EVENT_KEY_STABLE",
  purpose: "Checks that no event or command gets another key or a weaker ordering.",
  *compare(before, now) {
    for (const { at, was, is } of keptEvents(before, now)) {
      if (!is) continue;
      if (is.keyField !== was.keyField)
        yield {
          at,
          option: contract,
          message: `${was.type} changes its key from ${key(was)} to ${key(is)}.`,
        };
      if (strength(is.ordering) < strength(was.ordering)) {
        const [old, present] = [nameOf(was.ordering), nameOf(is.ordering)];
        yield {
          at,
          option: contract,
          message: `${was.type} weakens its ordering from ${old} to ${present}.`,
        };
      }
    }
  },
};

function nameOf(ordering: Ordering): string {
  return OrderingSchema.value[ordering]?.localName ?? String(ordering);
}

function key({ keyField }: { readonly keyField: string | undefined }): string {
  return keyField ?? "none";
}

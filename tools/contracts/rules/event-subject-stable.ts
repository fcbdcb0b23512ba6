import { contract, Kind } from "../../../gen/mesh/event/v1/event_pb.ts";
import type { EventContract } from "../../../mesh/contract/event.ts";
import { keptEvents } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";

/** Consumers of an older release listen where the message used to be, and messages that are kept stay there. */
export const rule: BreakingRule = {
  id: "MESH_EVENT_SUBJECT_STABLE",
  purpose: "Checks that every event and command stays under its subject.",
  *compare(before, now) {
    for (const { at, was, is } of keptEvents(before, now)) {
      if (!is)
        yield {
          at,
          message: `${was.type} was published as ${subject(was)}, and is no event or command any more.`,
        };
      else if (subject(is) !== subject(was))
        yield { at, option: contract, message: `${was.type} moves from ${subject(was)} to ${subject(is)}.` };
    }
  },
};

function subject({ kind, aggregate, major, name }: EventContract): string {
  return `${kind === Kind.COMMAND ? "cmd" : "evt"}.${aggregate}.v${major}.*.${name}`;
}

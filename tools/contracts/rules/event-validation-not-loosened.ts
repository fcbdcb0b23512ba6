import { isContracted } from "../../../mesh/contract/event.ts";
import { messagesOf } from "../plugin/contracts.ts";
import type { BreakingRule } from "../plugin/rule.ts";
import { changesWithin } from "../validation/changes-within.ts";

/** Consumers of an older release rely on what was never in an event. */
export const rule: BreakingRule = {
  id: "MESH_EVENT_VALIDATION_NOT_LOOSENED",
  purpose: "Checks that every event and command that is valid would have been valid before.",
  *compare(before, now) {
    const events = messagesOf(now).filter(isContracted);
    for (const { at, option, is, what } of changesWithin(events, before, now))
      if (is === "looser") yield { at, option, message: `More events are valid: ${at.toString()}: ${what}.` };
  },
};

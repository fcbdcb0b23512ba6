import type { LintRule } from "../plugin/rule.ts";
import { eventFindings } from "./events-work.ts";

/** Order is an order of a key: without one, STRICT and LATEST promise nothing. */
export const rule: LintRule = {
  id: "MESH_EVENT_HAS_KEY",
  purpose:
    "Checks that every event and command whose order counts has a key, and that the key is a text field of it.",
  check: (contracts) => eventFindings(contracts, ["key"]),
};

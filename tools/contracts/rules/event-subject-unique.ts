import type { LintRule } from "../plugin/rule.ts";
import { eventFindings } from "./events-work.ts";

/** Two types under one subject reach each other's consumers. */
export const rule: LintRule = {
  id: "MESH_EVENT_SUBJECT_UNIQUE",
  purpose:
    "Checks that no two events or commands share a subject, and that one service alone publishes an aggregate.",
  check: (contracts) => eventFindings(contracts, ["subject"]),
};

import { http } from "../../../gen/google/api/annotations_pb.ts";
import { routeProblems } from "../../../mesh/contract/route-problems.ts";
import { servicesOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/** Which of two routes takes a path must not depend on who reads them. */
export const rule: LintRule = {
  id: "MESH_ROUTE_UNIQUE",
  purpose: "Checks that no two routes take the same path, unless one is the exception to the other.",
  *check(contracts) {
    for (const { at, about, what } of routeProblems(servicesOf(contracts)))
      if (about === "collision") yield { at, option: http, message: `${what}.` };
  },
};

import { http } from "../../../gen/google/api/annotations_pb.ts";
import { routeProblems } from "../../../mesh/contract/route-problems.ts";
import { servicesOf } from "../plugin/contracts.ts";
import type { LintRule } from "../plugin/rule.ts";

/** A route that cannot be read would stop the gateway, long after it was written. */
export const rule: LintRule = {
  id: "MESH_ROUTE_VALID",
  purpose: "Checks that every google.api.http can be read, and names fields that fit where it puts them.",
  *check(contracts) {
    for (const { at, about, what } of routeProblems(servicesOf(contracts)))
      if (about === "route") yield { at, option: http, message: `${what}.` };
  },
};

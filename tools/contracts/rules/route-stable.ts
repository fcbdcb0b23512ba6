import type { DescService } from "@bufbuild/protobuf";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { methodName } from "../../../mesh/contract/policy.ts";
import { routeProblems } from "../../../mesh/contract/route-problems.ts";
import type { RouteTemplate } from "../../../mesh/contract/route-template.ts";
import { findRoute, inOrder, type Route, routesOf } from "../../../mesh/contract/routes.ts";
import { servicesOf } from "../plugin/contracts.ts";
import type { BreakingRule, Finding } from "../plugin/rule.ts";

/** A URL that somebody has kept must go on meaning what it meant. */
export const rule: BreakingRule = {
  id: "MESH_ROUTE_STABLE",
  purpose: "Checks that every route goes on reaching its RPC, with the same body and the same variables.",
  *compare(before, now) {
    const table = inOrder(servicesOf(now).flatMap((service) => readable(service) ?? []));
    for (const was of servicesOf(before)) {
      const is = now.registry.getService(was.typeName);
      const [old, present] = [readable(was), is && readable(is)];
      if (is && old && present) yield* compareRoutes(old, is, present, table);
    }
  },
};

function* compareRoutes(
  old: readonly Route[],
  service: DescService,
  present: readonly Route[],
  table: readonly Route[],
): Generator<Finding> {
  for (const was of old) {
    const at = service.method[was.method.localName];
    if (!at) continue;
    if (!present.some((route) => route.method === at && words(route) === words(was))) {
      yield { at, option: http, message: `${methodName(at)} can no more be called by ${words(was)}.` };
      continue;
    }
    const taker = findRoute(table, was.verb, samplePath(was.template))?.route.method;
    if (taker === undefined || taker === at) continue;
    const message = `${methodName(taker)} takes paths of ${words(was)}, which belong to ${methodName(at)}.`;
    yield { at: taker, option: http, message };
  }
}

/** The routes of a service. Undefined if one of them cannot be read, which MESH_ROUTE_VALID names. */
function readable(service: DescService): Route[] | undefined {
  const cannot = routeProblems([service]).some(({ about }) => about === "route");
  return cannot ? undefined : routesOf(service);
}

function words({ verb, template, body, responseBody }: Route): string {
  const parts = [`${verb} ${template.text}`];
  if (body !== undefined) parts.push(`with the body ${body}`);
  if (responseBody !== undefined) parts.push(`with the response body ${responseBody}`);
  return parts.join(" ");
}

/** A path that the template takes, of texts that no other template is likely to name. */
function samplePath({ segments, verb }: RouteTemplate): string {
  const parts = segments.map((segment) =>
    segment.kind === "literal" ? encodeURIComponent(segment.text) : "~",
  );
  return `/${parts.join("/")}${verb === undefined ? "" : `:${encodeURIComponent(verb)}`}`;
}

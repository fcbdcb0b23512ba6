import { type DescMethod, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../gen/google/api/http_pb.ts";
import { covers, matchTemplate, parseTemplate, type RouteTemplate } from "./route-template.ts";

/** One way to call a method by HTTP, as its google.api.http says. */
export interface Route {
  readonly method: DescMethod;
  /** In capitals, such as GET; `*` takes any. */
  readonly verb: string;
  readonly template: RouteTemplate;
  /** The field of the request that the body is, `*` for all that the path leaves, undefined for no body. */
  readonly body: string | undefined;
  /** The field of the response that is sent. Undefined for all of it. */
  readonly responseBody: string | undefined;
}

/** What a method states: how it is called, and by which path, both as they were written. */
export interface StatedRoute {
  readonly rule: HttpRule;
  readonly verb: string;
  readonly path: string;
}

/** The routes that a method states, not parsed: first its own, then its additional bindings. */
export function statedRoutes(method: DescMethod): StatedRoute[] {
  if (!hasOption(method, http)) return [];
  const own = getOption(method, http);
  return [own, ...own.additionalBindings].map((rule) => {
    const { pattern } = rule;
    if (pattern.case === undefined) return { rule, verb: "", path: "" };
    if (pattern.case === "custom") return { rule, verb: pattern.value.kind, path: pattern.value.path };
    return { rule, verb: pattern.case.toUpperCase(), path: pattern.value };
  });
}

/**
 * The routes of a service, in the order in which they are to be tried: of two that take the same path the narrower one
 * comes first. Throws if a template cannot be read; `routeProblems` says all else that is wrong.
 */
export function routesOf(service: DescService): Route[] {
  return inOrder(
    service.methods.flatMap((method) =>
      statedRoutes(method).map(({ rule, verb, path }) => ({
        method,
        verb,
        template: parseTemplate(path),
        body: rule.body || undefined,
        responseBody: rule.responseBody || undefined,
      })),
    ),
  );
}

/** The routes of several services as one table, in the order in which they are to be tried. */
export function inOrder(routes: readonly Route[]): Route[] {
  const sorted: Route[] = [];
  for (const route of routes) {
    const wider = sorted.findIndex((other) => isNarrower(route.template, other.template));
    if (wider === -1) sorted.push(route);
    else sorted.splice(wider, 0, route);
  }
  return sorted;
}

/** The first route that takes this path, and what its variables take of it. */
export function findRoute(
  routes: readonly Route[],
  verb: string,
  path: string,
): { readonly route: Route; readonly variables: ReadonlyMap<string, string> } | undefined {
  for (const route of routes) {
    if (route.verb !== verb && route.verb !== "*") continue;
    const variables = matchTemplate(route.template, path);
    if (variables) return { route, variables };
  }
  return undefined;
}

/** A path with a verb would fit the last segment of one without, so the verb goes first. */
function isNarrower(one: RouteTemplate, other: RouteTemplate): boolean {
  if (one.verb !== undefined && other.verb === undefined) return true;
  return covers(other, one) && !covers(one, other);
}

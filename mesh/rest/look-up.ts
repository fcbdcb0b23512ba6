import { findRoute, type Route } from "../contract/routes.ts";

/** A route that takes a request, and what its variables take of the path. */
export interface Found {
  readonly route: Route;
  readonly variables: ReadonlyMap<string, string>;
}

/** The route that takes this method of HTTP at this path. HEAD is answered by what answers GET, unless that is a stream. */
export function lookUp(routes: readonly Route[], verb: string, path: string): Found | undefined {
  const found = findRoute(routes, verb, path);
  if (found || verb !== "HEAD") return found;
  const got = findRoute(routes, "GET", path);
  return got?.route.method.methodKind === "unary" ? got : undefined;
}

/** The methods of HTTP that a path takes, for the header `allow`; empty if it is no path of any route. */
export function allowedAt(routes: readonly Route[], path: string): string[] {
  const verbs = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", ...routes.map(({ verb }) => verb)]);
  verbs.delete("*");
  const allowed = [...verbs].filter((verb) => lookUp(routes, verb, path));
  return allowed.length === 0 ? [] : [...allowed, "OPTIONS"];
}

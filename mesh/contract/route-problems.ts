import type { DescField, DescMessage, DescMethod, DescService } from "@bufbuild/protobuf";
import { fieldsAt } from "./field-path.ts";
import { methodName } from "./policy.ts";
import { covers, overlaps, parseTemplate, type RouteTemplate } from "./route-template.ts";
import { type StatedRoute, statedRoutes } from "./routes.ts";

/** A route that cannot work. */
export interface RouteProblem {
  readonly at: DescMethod;
  /** Whether the route is at fault alone, or together with another. */
  readonly about: "route" | "collision";
  /** A sentence without its full stop, such as "shop.order.v1.OrderService/GetOrder: its path ...". */
  readonly what: string;
}

interface ReadRoute {
  readonly at: DescMethod;
  readonly verb: string;
  readonly template: RouteTemplate;
}

/** What cannot work about the routes of these services. Empty if nothing is wrong. */
export function routeProblems(services: readonly DescService[]): RouteProblem[] {
  const problems: RouteProblem[] = [];
  const read: ReadRoute[] = [];
  for (const at of services.flatMap(({ methods }) => methods)) {
    for (const stated of statedRoutes(at)) {
      const add = (what: string) => problems.push({ at, about: "route", what: `${methodName(at)}: ${what}` });
      const template = templateOf(stated, add);
      if (!template) continue;
      for (const what of problemsOf(at, stated, template)) add(what);
      read.push({ at, verb: stated.verb, template });
    }
  }
  return [...problems, ...collisions(read)];
}

function templateOf({ path }: StatedRoute, add: (what: string) => void): RouteTemplate | undefined {
  try {
    return parseTemplate(path);
  } catch (error) {
    add((error as Error).message);
    return undefined;
  }
}

function* problemsOf(method: DescMethod, stated: StatedRoute, template: RouteTemplate): Generator<string> {
  const { rule, verb } = stated;
  const { input, output } = method;
  if (rule.selector !== "") yield "its route has a selector, but stands at its method";
  if (!/^(\*|[A-Z]+)$/.test(verb)) yield `its route is for the HTTP method "${verb}"`;
  if (rule.additionalBindings.some((each) => each.additionalBindings.length > 0))
    yield "an additional binding has additional bindings";
  const hasBody = rule.body !== "";
  if (hasBody && (verb === "GET" || verb === "DELETE")) yield `its ${verb} has a body`;
  if (isStreamed(method) && rule.body !== "*")
    yield "its requests are a stream, so each must be a body as a whole: *";
  if (hasBody && rule.body !== "*" && !input.fields.some(({ name }) => name === rule.body))
    yield `its body "${rule.body}" is no field of ${input.typeName}`;
  if (rule.responseBody !== "" && !output.fields.some(({ name }) => name === rule.responseBody))
    yield `its response_body "${rule.responseBody}" is no field of ${output.typeName}`;

  const paths = template.variables.map(({ fieldPath }) => fieldPath);
  if (isStreamed(method) && paths.length > 0)
    yield "its requests are a stream, so no path can say what is in each";
  for (const path of new Set(paths)) {
    if (paths.filter((each) => each === path).length > 1) yield `its path names ${path} twice`;
    const field = fieldsAt(input, path)?.at(-1);
    if (!field) yield `its path names ${path}, which is no field of ${input.typeName}`;
    else if (field.fieldKind !== "scalar" && field.fieldKind !== "enum")
      yield `its path names ${path}, which does not fit a path: it is no single scalar`;
  }
  if (rule.body === "*") return;
  const inQuery = input.fields.filter(({ name }) => name !== rule.body && !paths.includes(name));
  for (const field of inQuery) {
    const bad = unfitForQuery(field, []);
    if (bad !== undefined) yield `its request has ${bad}, which neither path nor body holds and no query can`;
  }
}

function isStreamed({ methodKind }: DescMethod): boolean {
  return methodKind === "client_streaming" || methodKind === "bidi_streaming";
}

/** The path of a field that no query can hold: lists of messages, maps, and what is within itself. */
function unfitForQuery(field: DescField, around: readonly DescMessage[]): string | undefined {
  if (field.fieldKind === "map" || (field.fieldKind === "list" && field.listKind === "message"))
    return field.name;
  // Those of google.protobuf are one text in JSON, so they are one text here.
  if (field.fieldKind !== "message" || field.message.typeName.startsWith("google.protobuf."))
    return undefined;
  if (around.includes(field.message)) return field.name;
  for (const inner of field.message.fields) {
    const bad = unfitForQuery(inner, [...around, field.message]);
    if (bad !== undefined) return `${field.name}.${bad}`;
  }
  return undefined;
}

/** Two routes that take the same path, of which neither is the exception to the other. */
function* collisions(routes: readonly ReadRoute[]): Generator<RouteProblem> {
  for (const [index, one] of routes.entries()) {
    for (const other of routes.slice(index + 1)) {
      const isSameVerb = one.verb === other.verb || one.verb === "*" || other.verb === "*";
      if (!isSameVerb || !overlaps(one.template, other.template)) continue;
      if (covers(one.template, other.template) !== covers(other.template, one.template)) continue;
      const [mine, its] = [one, other].map(({ verb, template }) => `${verb} ${template.text}`);
      const what = `${methodName(other.at)}: its ${its} takes the same paths as ${mine} of ${methodName(one.at)}`;
      yield { at: other.at, about: "collision", what };
    }
  }
}

/** One part of a path: a text, any one segment (`*`), or all that is left (`**`). */
export type Segment =
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "one" }
  | { readonly kind: "rest" };

/** A part of a path that goes into a field of the request. */
export interface RouteVariable {
  /** Such as `product.product_id`. */
  readonly fieldPath: string;
  /** The first of its segments. */
  readonly from: number;
  /** The segment after its last. */
  readonly to: number;
}

/** A path template of google.api.http, such as `/v1/orders/{order_id}:watch`. */
export interface RouteTemplate {
  readonly text: string;
  readonly segments: readonly Segment[];
  readonly variables: readonly RouteVariable[];
  /** What stands after the colon at the end. */
  readonly verb: string | undefined;
}

const IDENT = /[A-Za-z_][A-Za-z0-9_]*/y;
// What a path segment may hold (RFC 3986), without what the grammar needs for itself: * : and =.
const LITERAL = /(?:[A-Za-z0-9\-._~!$&'()+,;@]|%[0-9A-Fa-f]{2})+/y;

/** Reads a template, by the grammar in google/api/http.proto. Throws an error that says what was expected, and where. */
export function parseTemplate(text: string): RouteTemplate {
  const segments: Segment[] = [];
  const variables: RouteVariable[] = [];
  let at = 0;
  const isAt = (token: string) => text.startsWith(token, at);
  const fail = (expected: string): never => {
    const found = at < text.length ? `"${text.slice(at)}"` : "its end";
    throw new Error(`the template ${text || '""'} has ${found} where ${expected} should be`);
  };
  const take = (token: string) => {
    if (!isAt(token)) return false;
    at += token.length;
    return true;
  };
  const match = (pattern: RegExp, expected: string): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0] ?? fail(expected);
    at += found.length;
    return found;
  };
  const literal = (expected: string): string => {
    const from = at;
    try {
      return decodeURIComponent(match(LITERAL, expected));
    } catch (error) {
      if (!(error instanceof URIError)) throw error;
      at = from;
      return fail("UTF-8");
    }
  };
  const path = (mayHoldVariables: boolean) => {
    do {
      if (segments.at(-1)?.kind === "rest") fail("nothing, since ** takes all that is left,");
      if (take("**")) segments.push({ kind: "rest" });
      else if (take("*")) segments.push({ kind: "one" });
      else if (mayHoldVariables && take("{")) variable();
      else
        segments.push({ kind: "literal", text: literal(mayHoldVariables ? "a segment" : "*, ** or a text") });
    } while (take("/"));
  };
  const variable = () => {
    const from = segments.length;
    const names = [];
    do names.push(match(IDENT, "the name of a field"));
    while (take("."));
    if (take("=")) path(false);
    else segments.push({ kind: "one" });
    if (!take("}")) fail("}");
    variables.push({ fieldPath: names.join("."), from, to: segments.length });
  };

  if (!take("/")) fail("/");
  path(true);
  const verb = take(":") ? literal("a verb") : undefined;
  if (at < text.length) fail("/, : or the end");
  return { text, segments, variables, verb };
}

/** What the variables of a template take from a path, by field path. Undefined if the path is none of the template. */
export function matchTemplate(template: RouteTemplate, path: string): Map<string, string> | undefined {
  const { segments, variables, verb } = template;
  const parts = splitPath(path, verb);
  if (!parts) return undefined;
  const hasRest = segments.at(-1)?.kind === "rest";
  const fixed = hasRest ? segments.length - 1 : segments.length;
  if (hasRest ? parts.length < fixed : parts.length !== fixed) return undefined;
  for (const [index, segment] of segments.entries()) {
    const part = parts[index];
    if (segment.kind === "literal" && (part === undefined || decoded(part) !== segment.text))
      return undefined;
    // A segment is something: /v1/orders/ is not /v1/orders/{order_id} with an empty id.
    if (segment.kind === "one" && !part) return undefined;
  }
  const taken = new Map<string, string>();
  for (const { fieldPath, from, to } of variables) {
    const isOne = to - from === 1 && segments[from]?.kind !== "rest";
    const value = parts.slice(from, segments[to - 1]?.kind === "rest" ? undefined : to).join("/");
    const text = isOne ? decoded(value) : decodedButSlashes(value);
    if (text === undefined) return undefined;
    taken.set(fieldPath, text);
  }
  return taken;
}

function splitPath(path: string, verb: string | undefined): string[] | undefined {
  if (!path.startsWith("/")) return undefined;
  if (verb === undefined) return path.slice(1).split("/");
  const colon = path.lastIndexOf(":");
  if (colon < path.lastIndexOf("/") || decoded(path.slice(colon + 1)) !== verb) return undefined;
  return path.slice(1, colon).split("/");
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** As google/api/http.proto has it for variables of several segments: an encoded slash stays encoded. */
function decodedButSlashes(text: string): string | undefined {
  return decoded(text.replaceAll(/%2f/gi, (slash) => `%25${slash.slice(1)}`));
}

/** True if some path is one of both templates. */
export function overlaps(a: RouteTemplate, b: RouteTemplate): boolean {
  if (a.verb !== b.verb) return false;
  for (let index = 0; ; index++) {
    const [one, other] = [a.segments[index], b.segments[index]];
    if (one?.kind === "rest" || other?.kind === "rest") return true;
    if (!one || !other) return one === other;
    if (one.kind === "literal" && other.kind === "literal" && one.text !== other.text) return false;
  }
}

/** True if every path of the other template is one of this one, too. */
export function covers(wide: RouteTemplate, narrow: RouteTemplate): boolean {
  if (wide.verb !== narrow.verb) return false;
  for (let index = 0; ; index++) {
    const [one, other] = [wide.segments[index], narrow.segments[index]];
    if (one?.kind === "rest") return true;
    if (!one || !other) return one === other;
    if (other.kind === "rest") return false;
    if (one.kind === "literal" && !(other.kind === "literal" && other.text === one.text)) return false;
  }
}

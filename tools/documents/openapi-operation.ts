import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { accessOf } from "../../mesh/contract/access.ts";
import { deprecationOf } from "../../mesh/contract/deprecation.ts";
import { fieldsAt, pathOf } from "../../mesh/contract/field-path.ts";
import { type MethodPolicy, policies } from "../../mesh/contract/policy.ts";
import type { RouteTemplate, RouteVariable } from "../../mesh/contract/route-template.ts";
import type { Route } from "../../mesh/contract/routes.ts";
import { isTextual } from "../../mesh/rest/field-text.ts";
import { keepingHeaders } from "../../mesh/rest/keeping.ts";
import { filledMask } from "../../mesh/rest/update-mask.ts";
import { commentOf, paragraphs } from "./describe.ts";
import { isRequired, type JsonSchemas, type Schema } from "./json-schema.ts";
import type { Refusals } from "./openapi-answers.ts";

/** An operation, and the name that it has in the document as long as no other has it. */
export interface Operation {
  readonly operationId: string;
  readonly [name: string]: unknown;
}

const NDJSON = "application/x-ndjson";
const EVENTS = "text/event-stream";
const POLICIES = policies();

/** One way to call a method, as an operation of OpenAPI. `names` are those of its path's parameters, in their order. */
export function openapiOperation(
  route: Route,
  names: readonly string[],
  schemas: JsonSchemas,
  refused: Refusals,
): Operation {
  const { method, body } = route;
  const policy = POLICIES.method(method);
  const access = accessOf(method);
  const isPublic = access?.level === "public";
  const deprecation = deprecationOf(method);
  return {
    operationId: `${method.parent.typeName}.${method.name}`,
    tags: [method.parent.typeName],
    summary: wordsOf(method.name),
    ...describedAs(
      commentOf(method),
      access && WHO[access.level],
      deprecation &&
        `Deprecated since ${day(deprecation.since)}.${deprecation.sunset ? ` It may be gone from ${day(deprecation.sunset)} on.` : ""}${deprecation.link ? ` What to do instead: ${deprecation.link}` : ""}`,
    ),
    ...(method.deprecated && { deprecated: true }),
    ...(deprecation?.sunset && { "x-sunset": day(deprecation.sunset) }),
    ...(access && {
      "x-access": {
        level: access.level,
        ...(access.ownerPath && { owner: pathOf(access.ownerPath) }),
      },
    }),
    security: isPublic ? [] : [{ bearer: [] }],
    parameters: [
      ...pathParameters(route, names, schemas),
      ...queryParameters(route, schemas),
      ...headerParameters(route, policy),
    ],
    ...(body !== undefined && { requestBody: requestBody(route, schemas) }),
    responses: {
      ...answers(route, policy, schemas),
      ...refused.ofRoute(route, isPublic, policy.keyField !== undefined),
    },
  };
}

const WHO = {
  public: undefined,
  customer: "For whoever has signed in.",
  self: "For the customer whose own it is, and for operators.",
  operator: "For operators.",
  internal: "For services of the mesh.",
} as const;

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** `PlaceOrder` is "Place order". */
function wordsOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  return `${words[0]?.toUpperCase()}${words.slice(1)}`;
}

function describedAs(...texts: readonly (string | undefined)[]): Schema {
  const description = paragraphs(...texts);
  return description === undefined ? {} : { description };
}

/**
 * A template as a path of OpenAPI. Paths that differ in the names of their parameters only are one path there, so all of
 * them have the names of the first, which `known` has by its shape.
 */
export function openapiPath(
  template: RouteTemplate,
  known: ReadonlyMap<string, { readonly path: string }>,
): { readonly shape: string; readonly path: string; readonly names: readonly string[] } {
  const { segments, variables, verb } = template;
  const parts: string[] = [];
  const names: string[] = [];
  for (let at = 0; at < segments.length; ) {
    const segment = segments[at];
    const variable = variables.find(({ from }) => from === at);
    if (segment?.kind === "literal" && !variable) parts.push(encodeURIComponent(segment.text));
    else {
      const name = variable ? (variable.fieldPath.split(".").at(-1) ?? "") : `segment${at + 1}`;
      names.push(name);
      parts.push(`{${name}}`);
    }
    at = variable ? variable.to : at + 1;
  }
  const path = `/${parts.join("/")}${verb === undefined ? "" : `:${encodeURIComponent(verb)}`}`;
  const shape = path.replace(/\{[^}]*\}/g, "{}");
  const first = known.get(shape)?.path;
  if (first === undefined) return { shape, path, names };
  return { shape, path: first, names: [...first.matchAll(/\{([^}]*)\}/g)].map(([, name = ""]) => name) };
}

function pathParameters(
  { method, template }: Route,
  names: readonly string[],
  schemas: JsonSchemas,
): Schema[] {
  return template.variables.map((variable, at) => {
    const fields = fieldsAt(method.input, variable.fieldPath) ?? [];
    const { description, ...schema } = schemas.ofField(fields.at(-1) as DescField, "request");
    const form = formOf(template, variable);
    return {
      name: names[at],
      in: "path",
      required: true,
      ...describedAs(description as string | undefined, form && `It has the form \`${form}\`.`),
      schema: notEmpty(schema),
    };
  });
}

/** What a variable of more than one segment looks like. */
function formOf({ segments }: RouteTemplate, { from, to }: RouteVariable): string | undefined {
  const its = segments.slice(from, to);
  if (its.length === 1 && its[0]?.kind === "one") return undefined;
  return its
    .map((each) => (each.kind === "literal" ? each.text : each.kind === "one" ? "*" : "**"))
    .join("/");
}

/** No segment of a path is empty, whatever the rules say. */
function notEmpty(schema: Schema): Schema {
  return schema.type === "string" && schema.minLength === undefined ? { ...schema, minLength: 1 } : schema;
}

function queryParameters(route: Route, schemas: JsonSchemas): Schema[] {
  const { method, body, template } = route;
  if (body === "*") return [];
  const inPath = template.variables.map(({ fieldPath }) => fieldPath);
  const isElsewhere = (path: string) => path === body || inPath.includes(path);
  const mask = filledMask(route);
  return [...textualFields(method.input, isElsewhere)].map((fields) => {
    const field = fields.at(-1) as DescField;
    const { description, deprecated, ...schema } = schemas.ofField(field, "request");
    const isFilled = field === mask;
    return {
      name: pathOf(fields),
      in: "query",
      ...(!isFilled && fields.every((each) => isRequired(each, "request")) && { required: true }),
      ...describedAs(description as string | undefined, isFilled ? MASK : undefined),
      ...(deprecated === true && { deprecated: true }),
      schema,
    };
  });
}

const MASK = "Left out, it is what the body says.";

/** All that a query can say of a message, as the fields that lead there. */
function* textualFields(
  message: DescMessage,
  isElsewhere: (path: string) => boolean,
  within: readonly DescField[] = [],
): Generator<readonly DescField[]> {
  for (const field of message.fields) {
    const fields = [...within, field];
    if (isElsewhere(pathOf(fields)) || within.includes(field)) continue;
    if (isTextual(field)) yield fields;
    else if (field.fieldKind === "message") yield* textualFields(field.message, isElsewhere, fields);
  }
}

function headerParameters({ method, verb }: Route, { keyField }: MethodPolicy): Schema[] {
  return [
    ...(keyField === undefined ? [] : [parameterRef("Idempotency-Key")]),
    ...(verb === "GET" && method.methodKind === "unary" ? [parameterRef("If-None-Match")] : []),
    parameterRef("Request-Timeout"),
  ];
}

function parameterRef(name: keyof typeof PARAMETERS): Schema {
  return { $ref: `#/components/parameters/${name}` };
}

/** The headers that more than one operation takes. */
export const PARAMETERS = {
  "Idempotency-Key": {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Makes the call safe to repeat: the same key again does nothing again. It is the request's own key, which the contract calls `request_id`.",
    schema: { type: "string", pattern: '^"?[A-Za-z0-9_.:-]{0,64}"?$' },
  },
  "If-None-Match": {
    name: "If-None-Match",
    in: "header",
    description:
      "The `etag` of an answer that the caller has already: then it is told so, and is sent nothing.",
    schema: { type: "string" },
  },
  "Request-Timeout": {
    name: "Request-Timeout",
    in: "header",
    description: "How many seconds the caller waits, such as `0.5`.",
    schema: { type: "string", pattern: "^[0-9]{1,7}(\\.[0-9]{1,9})?$", examples: ["0.5"] },
  },
} as const;

/** How callers prove who they are. */
export const SECURITY = {
  bearer: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "The `access_token` that signing in answers with.",
  },
} as const;

function requestBody({ method, body, template }: Route, schemas: JsonSchemas): Schema {
  const inPath = template.variables.map(({ fieldPath }) => fieldsAt(method.input, fieldPath) ?? []);
  if (body === "*") {
    const without = inPath.flatMap((fields) => (fields.length === 1 ? fields : []));
    const schema = schemas.ofPart(method.input, "request", without);
    if (method.methodKind !== "unary" && method.methodKind !== "server_streaming")
      return {
        description: "A line for each message.",
        required: true,
        content: { [NDJSON]: { schema }, "application/jsonl": { schema } },
      };
    return { required: schema.required !== undefined, content: { "application/json": { schema } } };
  }
  const part = method.input.fields.find(({ name }) => name === body) as DescField;
  const inPart = inPath.flatMap(([outer, inner]) => (outer === part && inner ? [inner] : []));
  const whole = schemas.ofField(part, "request");
  const { description } = whole;
  const form = String(whole.$ref).endsWith("-Unchecked") ? "unchecked" : "request";
  const schema =
    inPart.length > 0 && part.message
      ? schemas.ofPart(part.message, form, inPart)
      : { ...whole, description: undefined };
  return {
    ...describedAs(description as string | undefined),
    required: isRequired(part, "request"),
    content: { "application/json": { schema } },
  };
}

function answers(
  { method, verb, responseBody }: Route,
  policy: MethodPolicy,
  schemas: JsonSchemas,
): Record<string, Schema> {
  const part = method.output.fields.find(({ name }) => name === responseBody);
  const schema = part ? schemas.ofField(part, "answer") : schemas.ofMessage(method.output, "answer");
  const description = commentOf(method.output) ?? method.output.name;
  const isStream = method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
  if (isStream) {
    const line = {
      type: "object",
      description: "One line: a message, or as the last one the error with which the stream broke off.",
      oneOf: [
        { properties: { result: schema }, required: ["result"] },
        { properties: { error: { $ref: "#/components/schemas/google.rpc.Status" } }, required: ["error"] },
      ],
    };
    return {
      "200": {
        description: paragraphs(
          description,
          "A stream, of which the schema is one line, or the `data` of one event. The event `failed` has a google.rpc.Status, after which nothing comes; `end` says that the stream is done.",
        ),
        ...headersOf({ "Cache-Control": control("no-store") }, method.deprecated),
        content: { [NDJSON]: { schema: line }, [EVENTS]: { schema } },
      },
    };
  }
  const isKept = verb === "GET";
  const kept = {
    ETag: { $ref: "#/components/headers/ETag" },
    "Cache-Control": control(
      keepingHeaders(policy, { isDegraded: false, isForOne: false })["cache-control"] ?? "",
    ),
    Vary: { $ref: "#/components/headers/Vary" },
  };
  return {
    "200": {
      description,
      ...headersOf(
        {
          ...(isKept ? kept : { "Cache-Control": control("no-store") }),
          "Mesh-Degraded": { $ref: "#/components/headers/Mesh-Degraded" },
        },
        method.deprecated,
      ),
      content: { "application/json": { schema } },
    },
    ...(isKept && {
      "304": { description: "The caller has this answer already.", ...headersOf(kept, method.deprecated) },
    }),
  };
}

function control(value: string): Schema {
  return { description: "How long the answer may be kept.", schema: { type: "string", examples: [value] } };
}

function headersOf(headers: Record<string, Schema>, isDeprecated: boolean): Schema {
  const ofOld = {
    Deprecation: { description: "Since when it is deprecated (RFC 9745).", schema: { type: "string" } },
    Sunset: { description: "From when on it may be gone (RFC 8594).", schema: { type: "string" } },
    Link: { description: "Where it is written what to do instead.", schema: { type: "string" } },
  };
  const ofLimits = {
    RateLimit: { $ref: "#/components/headers/RateLimit" },
    "RateLimit-Policy": { $ref: "#/components/headers/RateLimit-Policy" },
  };
  return { headers: { ...headers, ...ofLimits, ...(isDeprecated && ofOld) } };
}

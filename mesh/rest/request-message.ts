import {
  create,
  type DescField,
  type DescMessage,
  type JsonValue,
  type Message,
  mergeFromJson,
} from "@bufbuild/protobuf";
import { isFieldError, reflect } from "@bufbuild/protobuf/reflect";
import { fieldsAt, pathOf } from "../contract/field-path.ts";
import type { Route } from "../contract/routes.ts";
import { type FieldViolation, messageOf } from "../core/errors.ts";
import { invalidRequest } from "../rpc/server/validation.ts";
import { BadText, putTexts } from "./field-text.ts";
import { fillUpdateMask } from "./update-mask.ts";

/** What a call by HTTP says. */
export interface Said {
  /** What the variables of the template take, by field path. */
  readonly variables: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** Undefined if there is no body. */
  readonly body: JsonValue | undefined;
}

/**
 * The request that a call by HTTP is: of its path, its body and its query, as the route says. Throws INVALID_REQUEST that
 * names each field of path and query that does not fit, or what is wrong with the body.
 */
export function requestMessage(route: Route, { variables, query, body }: Said): Message {
  const { input } = route.method;
  const message = create(input);
  if (body !== undefined) mergeBody(route, message, body);
  const violations: FieldViolation[] = [];
  const put = (field: string, fields: readonly DescField[], texts: readonly string[]) => {
    const rival = rivalOf(input, message, fields);
    if (rival) {
      violations.push({ field, description: `cannot be said beside ${rival.name}: it is one or the other` });
      return;
    }
    try {
      putTexts(input, message, fields, texts);
    } catch (error) {
      if (!(error instanceof BadText)) throw error;
      violations.push({ field, description: error.message });
    }
  };
  for (const [path, text] of variables) {
    const fields = fieldsAt(input, path) ?? [];
    const inBody = valueAt(input, message, fields);
    put(path, fields, [text]);
    if (inBody !== undefined && inBody !== valueAt(input, message, fields))
      violations.push({ field: path, description: "is one thing in the path and another in the body" });
  }
  const asked = new Map<string, { readonly fields: readonly DescField[]; readonly texts: string[] }>();
  for (const [name, text] of query) {
    const fields = fieldsAt(input, name, hasName);
    const path = fields ? pathOf(fields) : name;
    const known = asked.get(path);
    if (known) known.texts.push(text);
    else asked.set(path, { fields: fields ?? [], texts: [text] });
  }
  for (const [path, { fields, texts }] of asked) {
    const description = unfit(route, fields, variables);
    if (description === undefined) put(path, fields, texts);
    else violations.push({ field: path, description });
  }
  if (violations.length > 0) throw invalidRequest(violations);
  fillUpdateMask(route, message, body);
  return message;
}

/** In a query a field has its name of the .proto or that of JSON. */
function hasName({ name, jsonName }: DescField, said: string): boolean {
  return name === said || jsonName === said;
}

/** One message of a stream of requests, which is a body as a whole. Throws INVALID_REQUEST that names its line. */
export function streamedMessage(route: Route, line: JsonValue, number: number): Message {
  const message = create(route.method.input);
  mergeBody(route, message, line, `line ${number}`);
  return message;
}

/** Why a field cannot be in the query. Undefined if it can. */
function unfit(
  { method, body }: Route,
  fields: readonly DescField[],
  variables: ReadonlyMap<string, string>,
): string | undefined {
  if (fields.length === 0) return `is no field of ${method.input.typeName}`;
  if (variables.has(pathOf(fields))) return "stands in the path";
  if (body === "*") return "belongs into the body";
  return fields[0]?.name === body ? "is what the body is" : undefined;
}

function mergeBody({ method, body }: Route, message: Message, json: JsonValue, at = "the body"): void {
  if (body === undefined) throw invalidRequest([{ field: "", description: "this route takes no body" }]);
  const whole = body === "*" ? json : { [body]: json };
  try {
    mergeFromJson(method.input, message, whole);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    const field = isFieldError(cause) ? cause.field().name : "";
    const what = isFieldError(cause) ? cause.message : messageOf(error);
    throw invalidRequest([{ field, description: `${at}: ${what}` }]);
  }
}

/** What is set of the oneof that a field, or one that it is within, is a member of, if that is another member. */
function rivalOf(schema: DescMessage, message: Message, fields: readonly DescField[]): DescField | undefined {
  let at = reflect(schema, message);
  for (const field of fields) {
    const said = field.oneof && at.oneofCase(field.oneof);
    if (said && said !== field) return said;
    if (field.fieldKind !== "message" || !at.isSet(field)) return undefined;
    at = at.get(field);
  }
  return undefined;
}

/** The value of a single field that is set. */
function valueAt(schema: DescMessage, message: Message, fields: readonly DescField[]): unknown {
  let at = reflect(schema, message);
  for (const field of fields.slice(0, -1)) {
    if (field.fieldKind !== "message" || !at.isSet(field)) return undefined;
    at = at.get(field);
  }
  const last = fields.at(-1);
  return last && at.isSet(last) ? at.get(last) : undefined;
}

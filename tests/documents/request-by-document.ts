import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type Documented, type DocumentedOperation, resolved } from "./operations.ts";

/** A call as the document has it. */
export interface DocumentedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** What it sends, and by which schema. */
  readonly body?: { readonly type: string; readonly json: JsonValue; readonly schema: Documented };
}

/**
 * Puts a request where an operation of the document has its parts, as somebody would who knows nothing else: into the path and
 * the query by the names of the parameters, and what is left into the body, or the only object of it if that is what the body is.
 */
export function requestByDocument(
  document: Documented,
  { verb, path, parameters, operation }: DocumentedOperation,
  request: JsonObject,
): DocumentedRequest {
  const left = structuredClone(request);
  const filled = path.replaceAll(/\{([^}]*)\}/g, (_, name: string) =>
    encodeURIComponent(String(takeInner(left, name))),
  );
  const query = new URLSearchParams(
    parameters
      .filter((each) => each.in === "query")
      .flatMap(({ name }) => [take(left, name) ?? []].flat().map((value) => [name, String(value)])),
  ).toString();
  const pathAndQuery = query ? `${filled}?${query}` : filled;
  const [content] = Object.entries(operation.requestBody?.content ?? {});
  if (!content) {
    if (Object.keys(left).length > 0)
      throw new Error(`${operation.operationId} has no place for ${JSON.stringify(left)}`);
    return { method: verb, path: pathAndQuery };
  }
  const [type, { schema }] = content;
  const properties = resolved(document, schema).properties as Documented;
  const isWhole = Object.keys(left).every((name) => name in properties);
  return {
    method: verb,
    path: pathAndQuery,
    body: { type, schema, json: isWhole ? left : (Object.values(left)[0] ?? {}) },
  };
}

/** Takes the value of a field, such as `filter.page_size`, out of a request. */
function take(json: JsonObject, path: string): JsonValue | undefined {
  const [name = "", ...inner] = path.split(".");
  const key = camel(name);
  const value = json[key];
  if (inner.length > 0) return isObject(value) ? take(value, inner.join(".")) : undefined;
  delete json[key];
  return value;
}

/** The same for a path, which names the last part of it only. */
function takeInner(json: JsonObject, name: string): JsonValue | undefined {
  if (camel(name) in json) return take(json, name);
  const inner = Object.values(json).find((each) => isObject(each) && camel(name) in each);
  return isObject(inner) ? take(inner, name) : undefined;
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

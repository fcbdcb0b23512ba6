import type { JsonValue } from "@bufbuild/protobuf";
import type { Random } from "../../mesh/testing/random.ts";
import {
  type Documented,
  type DocumentedOperation,
  type Parameter,
  resolved,
} from "../documents/operations.ts";
import type { RawRequest } from "./raw-http.ts";

const IDS = ["prod-espresso", "prod-rare", "cust-ada", "none", "a b", "", "x".repeat(70)];
const TEXTS = [
  ...IDS,
  "\u0000",
  "\ud800",
  "é💩",
  "<b>",
  "'--",
  "../..",
  "tok_ok",
  "5s",
  "2026-01-01T00:00:00Z",
  "*",
  "%",
];
const NUMBERS = [0, 1, -1, 1.5, 2 ** 31, 2 ** 53, 1e300, "7", "x", "0x10"];
const ANYTHING: readonly JsonValue[] = [null, true, 7, "x", [], {}, [[]], [null], { a: 1 }];
const VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PURGE"];
const TYPES = [
  "application/json",
  "application/x-ndjson",
  "text/plain",
  "application/json; charset=utf-16",
  "",
];
const HEADERS = [
  "Accept: application/problem+json",
  "Accept: text/event-stream",
  "Accept: text/html",
  "Accept: */*;q=x",
  "Request-Timeout: 0.5",
  "Request-Timeout: x",
  "Grpc-Timeout: 1S",
  "Grpc-Timeout: 99999999999H",
  "Idempotency-Key: k",
  "If-None-Match: *",
  "Content-Encoding: gzip",
  "Traceparent: 00-zz",
  "Baggage: a=b,,c",
  "Tenant: \u00e9",
  "Origin: null",
  "Expect: 100-continue",
  "Range: bytes=0-1",
];

/**
 * A call by one of the operations of an OpenAPI document, which is well in most parts, and bad in some. The same chance makes
 * the same call.
 */
export function fuzzedCall(
  document: Documented,
  operations: readonly DocumentedOperation[],
  chance: Random,
): RawRequest {
  const made = fuzzing(document, chance);
  const { verb: own, path: template, parameters, operation, responses } = chance.pick(operations);
  const path = template.replaceAll(/\{[^}]*\}/g, () => segment(chance));
  const verb = chance.chance(0.9) ? own : chance.pick(VERBS);
  const query = chance.chance(0.5) ? `?${made.query(parameters.filter((each) => each.in === "query"))}` : "";
  const headers = chance.chance(0.3) ? [chance.pick(HEADERS)] : [];
  // A stream is asked for as long as this, and no longer.
  if (responses.get("200")?.content?.["text/event-stream"]) headers.push("Request-Timeout: 0.2");
  const line = `${verb} ${broken(path, chance)}${query} HTTP/1.1`;
  const [body] = Object.entries(operation.requestBody?.content ?? {});
  if (body === undefined && chance.chance(0.95)) return { line, headers };
  const [its = "application/json", { schema } = { schema: { type: "object" } }] = body ?? [];
  const json = JSON.stringify(made.json(schema, 0));
  const type = chance.chance(0.95) ? its : chance.pick(TYPES);
  const text = broken(its === "application/json" ? json : `${json}\n${json}\n`, chance);
  return {
    line,
    headers: [...headers, `Content-Type: ${type}`, `Content-Length: ${Buffer.byteLength(text)}`],
    body: text,
  };
}

function segment(chance: Random): string {
  const text = chance.pick(TEXTS);
  // A lone surrogate has no form in a path.
  return chance.chance(0.9)
    ? encodeURIComponent(text.toWellFormed())
    : chance.pick(["%", "%ff", "..", "%2e%2e", ""]);
}

/** What makes up parts of a call by their schemas. */
function fuzzing(document: Documented, chance: Random) {
  function query(parameters: readonly Parameter[]): string {
    const pairs = Array.from({ length: 1 + chance.below(3) }, () => {
      const parameter = parameters.length > 0 && chance.chance(0.9) ? chance.pick(parameters) : undefined;
      if (!parameter) return ["colour", chance.pick(TEXTS).toWellFormed()];
      const { name, schema } = parameter;
      const value = json((schema.items as Documented | undefined) ?? schema, 0);
      return [chance.pick([name, camel(name), `${name}.x`]), String(value).toWellFormed()];
    });
    return new URLSearchParams(pairs).toString();
  }

  function json(part: Documented, depth: number): JsonValue {
    if (chance.chance(0.04) || depth > 5) return chance.pick(ANYTHING);
    const schema = resolved(document, part);
    if (Array.isArray(schema.enum)) return chance.pick([...(schema.enum as string[]), 0, 99, "NOTHING"]);
    switch ([schema.type].flat()[0]) {
      case "object":
        return object(schema, depth);
      case "array":
        return [json(schema.items as Documented, depth + 1)];
      case "string":
        // A number of 64 bits is either.
        return Array.isArray(schema.type) ? chance.pick(NUMBERS) : chance.pick(TEXTS);
      case "boolean":
        return chance.chance(0.5);
      default:
        return chance.pick(NUMBERS);
    }
  }

  function object({ properties = {} }: Documented, depth: number): JsonValue {
    const entries = Object.entries(properties as Record<string, Documented>)
      .filter(() => chance.chance(0.8))
      .map(([name, schema]): [string, JsonValue] => [
        chance.pick([name, snake(name)]),
        json(schema, depth + 1),
      ]);
    if (chance.chance(0.03)) entries.push([chance.pick(TEXTS), chance.pick(ANYTHING)]);
    return Object.fromEntries(entries);
  }

  return { query, json };
}

/** The names that a request may have beside those of the document. */
function snake(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function camel(name: string): string {
  return name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The text, once in a while without a part of it. */
function broken(text: string, chance: Random): string {
  return chance.chance(0.03) ? text.slice(0, 1 + chance.below(text.length)) : text;
}

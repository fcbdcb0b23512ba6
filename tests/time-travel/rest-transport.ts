import {
  create,
  type DescMessage,
  type DescMethod,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type StatedRoute, statedRoutes } from "../../mesh/contract/routes.ts";

/** True if the contract of a method says how it is called by HTTP. */
export function hasRoute(method: DescMethod): boolean {
  return statedRoutes(method).length > 0;
}

/** Calls by HTTP and JSON, as somebody would who has read the routes of a contract: with fetch. */
export function restTransport(
  baseUrl: string,
  registry: Registry,
  headers: Readonly<Record<string, string>>,
): Transport {
  const read = (schema: DescMessage, json: JsonValue) =>
    fromJson(schema, json, { registry, ignoreUnknownFields: true });

  async function send(
    method: DescMethod,
    requests: JsonObject[],
    signal?: AbortSignal,
    timeoutMs = 10_000,
  ): Promise<Response> {
    const [route] = statedRoutes(method);
    if (!route) throw new Error(`${method.name} has no route`);
    const isStreamed = method.methodKind === "client_streaming";
    const { path, query, body } = isStreamed
      ? { path: route.path, query: "", body: requests.map((each) => `${JSON.stringify(each)}\n`).join("") }
      : partsOf(route, requests[0] ?? {}, method.input);
    const answer = await fetch(`${baseUrl}${path}${query}`, {
      method: route.verb,
      headers: {
        ...headers,
        "request-timeout": String(timeoutMs / 1000),
        ...(body !== undefined && {
          "content-type": isStreamed ? "application/x-ndjson" : "application/json",
        }),
      },
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
    });
    if (!answer.ok) throw errorOf((await answer.json()) as JsonObject);
    return answer;
  }

  const asJson = (schema: DescMessage, message: object) =>
    toJson(schema, create(schema, message as MessageInitShape<DescMessage>), { registry }) as JsonObject;

  return {
    async unary(method, signal, timeoutMs, _header, input) {
      const answer = await send(method, [asJson(method.input, input)], signal, timeoutMs);
      const message = read(method.output, (await answer.json()) as JsonValue) as never;
      const { headers: header } = answer;
      return { stream: false, service: method.parent, method, header, trailer: new Headers(), message };
    },
    async stream(method, signal, timeoutMs, _header, inputs) {
      const requests: JsonObject[] = [];
      for await (const input of inputs) requests.push(asJson(method.input, input));
      const answer = await send(method, requests, signal, timeoutMs);
      const results = method.methodKind === "server_streaming" ? linesOf(answer) : whole(answer);
      const message = (async function* () {
        for await (const json of results) yield read(method.output, json) as never;
      })();
      const { headers: header } = answer;
      return { stream: true, service: method.parent, method, header, trailer: new Headers(), message };
    },
  };
}

/** Where the parts of a request go: what the path names is not in the body, and the query has what is left. */
function partsOf({ path, rule }: StatedRoute, request: JsonObject, schema: DescMessage) {
  const rest = structuredClone(request);
  const filled = path.replaceAll(/\{([^}=]+)[^}]*\}/g, (_, fieldPath: string) =>
    encodeURIComponent(String(taken(rest, fieldPath.split("."), schema) ?? "")),
  );
  if (rule.body === "*") return { path: filled, query: "", body: JSON.stringify(rest) };
  const whole = schema.fields.find(({ name }) => name === rule.body)?.jsonName;
  const body = whole === undefined ? undefined : JSON.stringify(rest[whole] ?? {});
  if (whole !== undefined) delete rest[whole];
  const query = new URLSearchParams([...texts(rest, "")]).toString();
  return { path: filled, query: query && `?${query}`, body };
}

/** Takes the value of a field out of JSON. */
function taken(json: JsonObject, [name, ...inner]: readonly string[], schema: DescMessage): unknown {
  const field = schema.fields.find((each) => each.name === name);
  if (!field) return undefined;
  const value = json[field.jsonName];
  if (inner.length > 0 && field.message) return taken(value as JsonObject, inner, field.message);
  delete json[field.jsonName];
  return value;
}

function* texts(json: JsonValue, path: string): Generator<[string, string]> {
  if (Array.isArray(json)) for (const each of json) yield* texts(each, path);
  else if (typeof json === "object" && json !== null)
    for (const [name, value] of Object.entries(json)) yield* texts(value, path ? `${path}.${name}` : name);
  else yield [path, String(json)];
}

async function* whole(answer: Response): AsyncGenerator<JsonValue> {
  yield (await answer.json()) as JsonValue;
}

async function* linesOf({ body }: Response): AsyncGenerator<JsonValue> {
  let text = "";
  for await (const part of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = `${text}${part}`.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const { result, error } = JSON.parse(line) as { result?: JsonValue; error?: JsonObject };
      if (error) throw errorOf(error);
      yield result ?? null;
    }
  }
}

function errorOf({ code, message, details }: JsonObject): ConnectError {
  const error = new ConnectError(String(message), Number(code));
  for (const detail of details as JsonObject[]) {
    const { "@type": type, ...info } = detail;
    if (type !== `type.googleapis.com/${ErrorInfoSchema.typeName}`) continue;
    error.details.push({ desc: ErrorInfoSchema, value: fromJson(ErrorInfoSchema, info) });
  }
  return error;
}

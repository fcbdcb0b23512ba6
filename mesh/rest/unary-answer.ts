import { type DescMethod, type JsonObject, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import type { MethodPolicy } from "../contract/policy.ts";
import type { Route } from "../contract/routes.ts";
import { isDegraded } from "../resilience/degraded.ts";
import { answerHeaders } from "../rpc/call-headers.ts";
import { etagOf, hasAlready, keepingHeaders } from "./keeping.ts";

/** What an RPC has answered. */
export interface Answered {
  readonly message: Message;
  readonly header: Headers;
  readonly trailer: Headers;
}

/** What a message of the answer is in JSON: all of it, or the field that the route says. */
export function answerJson({ method, responseBody }: Route, message: Message): JsonValue {
  const json = jsonOf(method, message);
  if (responseBody === undefined) return json;
  const field = method.output.fields.find(({ name }) => name === responseBody);
  return json[field?.jsonName ?? ""] ?? null;
}

/** With what is empty or 0 too, so that who reads it need not know what is there. */
function jsonOf({ output }: DescMethod, message: Message): JsonObject {
  return toJson(output, message, { alwaysEmitImplicit: true }) as JsonObject;
}

/**
 * An answer of one message. To GET and HEAD it says how long it may be kept, and is 304 to whoever has it already; to
 * anything else it is not kept.
 */
export function unaryAnswer(
  request: Request,
  route: Route,
  policy: MethodPolicy,
  { message, header, trailer }: Answered,
): Response {
  const bytes = new TextEncoder().encode(JSON.stringify(answerJson(route, message)));
  const headers = answerHeaders(header, trailer);
  if (request.method !== "GET" && request.method !== "HEAD") headers.set("cache-control", "no-store");
  else {
    const etag = etagOf(bytes);
    headers.set("etag", etag);
    const isForOne = request.headers.has("authorization");
    const keeping = keepingHeaders(policy, { isDegraded: isDegraded({ trailer }), isForOne });
    for (const [name, value] of Object.entries(keeping)) headers.set(name, value);
    if (hasAlready(request.headers.get("if-none-match"), etag))
      return new Response(null, { status: 304, headers });
  }
  headers.set("content-type", "application/json");
  headers.set("content-length", String(bytes.byteLength));
  return new Response(request.method === "HEAD" ? null : bytes, { headers });
}

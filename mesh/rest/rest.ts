import type { DescMethodStreaming, DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { type Policies, policies as readPolicies } from "../contract/policy.ts";
import { routeProblems } from "../contract/route-problems.ts";
import { inOrder, type Route, routesOf } from "../contract/routes.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { answerHeaders } from "../rpc/call-headers.ts";
import { invalidRequest } from "../rpc/server/validation.ts";
import { preferred } from "./accept.ts";
import { readJson, readJsonLines } from "./body.ts";
import { callTerms } from "./call-terms.ts";
import { errorAnswer, isAnswerable } from "./error-answer.ts";
import { methodNotAllowed, noRoute, notAcceptable } from "./http-refusal.ts";
import { putIdempotencyKey } from "./idempotency-key.ts";
import { allowedAt, type Found, lookUp } from "./look-up.ts";
import { requestMessage, streamedMessage } from "./request-message.ts";
import { STREAM_TYPES, streamAnswer } from "./stream-answer.ts";
import { answerJson, unaryAnswer } from "./unary-answer.ts";

/** What is offered over HTTP, and how. */
export interface RestOptions {
  /** Those whose routes there are. */
  readonly services: readonly DescService[];
  /** How they are called. */
  readonly calls: Transport;
  /** Defaults to those of the contract. */
  readonly policies?: Policies;
  readonly clock?: Clock;
  /** The largest body, or line of a stream of requests, in bytes. Defaults to 4 MiB, as for RPCs. */
  readonly maxBodyBytes?: number;
  /** How long the answer of a stream waits for its first message. Milliseconds. Defaults to 250. */
  readonly firstWithinMs?: number;
  /** How long a stream of events is silent before it says that there is nothing yet. Milliseconds. Defaults to 15,000. */
  readonly silentForMs?: number;
  /** How long the body of a request may take to come, unless its lines are a stream. Milliseconds. Defaults to 30,000. */
  readonly bodyWithinMs?: number;
}

/** Answers a request of HTTP with an RPC. Rejects only for what is its own fault. */
export type RestHandler = (request: Request) => Promise<Response>;

const MAX_BODY_BYTES = 4 * 2 ** 20;

/**
 * Offers services over HTTP and JSON, by the `google.api.http` of their methods. Every path is answered, with 404 if it is
 * none of theirs. Throws if a route cannot work, or takes the same paths as another; it names both.
 */
export function rest(options: RestOptions): RestHandler {
  const { services, calls, policies = readPolicies(), clock = systemClock } = options;
  const { maxBodyBytes = MAX_BODY_BYTES, firstWithinMs = 250 } = options;
  const { silentForMs = 15_000, bodyWithinMs = 30_000 } = options;
  const problems = routeProblems(services).map(({ what }) => what);
  if (problems.length > 0) throw new Error(`the routes cannot work: ${problems.join("; ")}`);
  const routes = inOrder(services.flatMap(routesOf));

  async function answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const found = lookUp(routes, request.method, pathname);
    if (found) return answerBy(found, request);
    const allowed = allowedAt(routes, pathname);
    if (allowed.length === 0) throw noRoute(pathname);
    if (request.method !== "OPTIONS") throw methodNotAllowed(request.method, pathname, allowed);
    return new Response(null, { status: 204, headers: { allow: allowed.join(", ") } });
  }

  async function answerBy({ route, variables }: Found, request: Request): Promise<Response> {
    const { method } = route;
    const isSingle = method.methodKind === "unary" || method.methodKind === "client_streaming";
    const type = typeFor(request, isSingle ? (["application/json"] as const) : STREAM_TYPES);
    const { header, timeoutMs } = callTerms(request.headers);
    const policy = policies.method(method);

    const readMessage = async () => {
      const { searchParams: query } = new URL(request.url);
      const message = requestMessage(route, {
        variables,
        query,
        body: await readJson(request, { maxBytes: maxBodyBytes, withinMs: bodyWithinMs, clock }),
      });
      putIdempotencyKey(request.headers, method, message, policy);
      return message;
    };

    if (method.methodKind === "unary") {
      const message = await readMessage();
      const unary = method as DescMethodUnary;
      const answered = await calls.unary(unary, request.signal, timeoutMs, header, message);
      return unaryAnswer(request, route, policy, answered);
    }

    const sent =
      method.methodKind === "server_streaming"
        ? { messages: createAsyncIterable([await readMessage()]), refusal: () => undefined }
        : streamOf(route, request, maxBodyBytes);
    const leaving = new AbortController();
    const signal = AbortSignal.any([request.signal, leaving.signal]);
    try {
      const stream = method as DescMethodStreaming;
      const answered = await calls.stream(stream, signal, timeoutMs, header, sent.messages);
      if (type === "application/json") {
        const message = await only(answered.message);
        return unaryAnswer(request, route, policy, { ...answered, message });
      }
      return await streamAnswer(jsonOf(route, answered.message), {
        type,
        headers: answerHeaders(answered.header),
        clock,
        firstWithinMs,
        silentForMs,
        onLeft: () => leaving.abort(),
      });
    } catch (error) {
      // That the caller's stream broke off is what the service sees of a line that is refused here.
      throw sent.refusal() ?? error;
    }
  }

  return async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      if (!isAnswerable(error)) throw error;
      return errorAnswer(error, request.headers.get("accept"));
    }
  };
}

function typeFor<T extends string>(request: Request, offers: readonly T[]): T {
  const type = preferred(request.headers.get("accept"), offers);
  if (!type) throw notAcceptable(offers);
  return type;
}

/** The messages that the lines of a body are, and, once it has been read, why one was refused. */
function streamOf(route: Route, request: Request, maxLineBytes: number) {
  const names = [...new URL(request.url).searchParams.keys()];
  if (names.length > 0)
    throw invalidRequest(names.map((field) => ({ field, description: "belongs into the body" })));
  let refusal: unknown;
  async function* read(): AsyncGenerator<Message> {
    try {
      for await (const [number, line] of readJsonLines(request, maxLineBytes))
        yield streamedMessage(route, line, number);
    } catch (error) {
      refusal = error;
      throw error;
    }
  }
  return { messages: read(), refusal: () => refusal };
}

async function only<T>(values: AsyncIterable<T>): Promise<T> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  if (all.length !== 1) throw new Error(`a call that has one answer got ${all.length}`);
  return all[0] as T;
}

async function* jsonOf(route: Route, messages: AsyncIterable<Message>) {
  for await (const message of messages) yield answerJson(route, message);
}

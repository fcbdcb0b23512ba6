import {
  type ContextKey,
  type ContextValues,
  createContextKey,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import type { MethodPolicy as MethodOptions } from "../../gen/mesh/policy/v1/policy_pb.ts";
import { type MethodPolicy, type Policies, policies } from "../contract/policy.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { LazyAbort } from "../core/signal.ts";
import { readTimeoutMs } from "./timeout-header.ts";

/** A request as interceptors see it. */
export type Request = UnaryRequest | StreamRequest;

/** What the policies of one call share. */
export interface Call {
  readonly policy: MethodPolicy;
  /** When it must be done, on the clock; Infinity for never. */
  readonly deadlineMs: number;
  /** True if another attempt may be made though the first was processed: the method or the request's key allows it. */
  readonly isRepeatable: boolean;
  /** The endpoints that attempts of this call went to. */
  readonly tried: Set<unknown>;
}

/** One attempt of a call. */
export interface Attempt {
  /** Counted from 1; an attempt that was not processed does not count. */
  readonly number: number;
  /** True if no other attempt can follow, so that this one may take all the time that is left. */
  readonly isLast: boolean;
}

const callKey = createContextKey<Call | undefined>(undefined);
const attemptKey = createContextKey<Attempt | undefined>(undefined);

/** What one call asks for in place of its method's policy: `client.getX(request, { contextValues: ... })`. */
export const callPolicyKey = createContextKey<MethodOptions | undefined>(undefined, {
  description: "the policy of one call",
});

/** What a policy needs to know of its surroundings. */
export interface Surroundings {
  /** Defaults to the machine's. */
  readonly clock?: Clock;
  /** A number from 0 to below 1. Defaults to Math.random. */
  readonly random?: () => number;
  /** Defaults to those of the contract. */
  readonly policies?: Policies;
}

const ofContract = policies();

/** The call that a request belongs to; if no policy above has begun it, its deadline is what its headers say. */
export function callOf(request: Request, { clock = systemClock, policies = ofContract }: Surroundings): Call {
  const known = request.contextValues.get(callKey);
  if (known) return known;
  const leftMs = readTimeoutMs(request.header) ?? Number.POSITIVE_INFINITY;
  return newCall(request, policyOf(request, policies), clock.now() + leftMs);
}

/** The policy of a request: its method's, and what this one call asks for over it. */
export function policyOf(request: Request, policies: Policies): MethodPolicy {
  return policies.method(request.method, request.contextValues.get(callPolicyKey));
}

/** A call that begins. */
export function newCall(request: Request, policy: MethodPolicy, deadlineMs: number): Call {
  const { keyField, isIdempotent } = policy;
  const hasKey = keyField !== undefined && !request.stream && Boolean(field(request.message, keyField));
  return { policy, deadlineMs, isRepeatable: isIdempotent || hasKey, tried: new Set() };
}

/** The request as part of a call, so that the policies below share it. */
export function asPartOf<R extends Request>(request: R, call: Call): R {
  return { ...request, contextValues: valuesOver(request.contextValues).set(callKey, call) };
}

function field(message: object, name: string): unknown {
  return (message as Record<string, unknown>)[name];
}

const FIRST_AND_ONLY: Attempt = { number: 1, isLast: true };

/** The attempt that a request is. */
export function attemptOf(request: Request): Attempt {
  return request.contextValues.get(attemptKey) ?? FIRST_AND_ONLY;
}

/** The request as an attempt. What the policies below remember with it is forgotten by the next. */
export function asAttempt<R extends Request>(request: R, attempt: Attempt): R {
  return { ...request, contextValues: valuesOver(request.contextValues).set(attemptKey, attempt) };
}

/** Ends an attempt, for a transport that can do without a signal. */
export const abortKey = createContextKey<LazyAbort | undefined>(undefined);

/** How long an attempt may take, in milliseconds, for the transport to tell the server; Infinity for ever. */
export const timeoutKey = createContextKey(Number.POSITIVE_INFINITY);

/** Values of their own over others, which stay as they are: a caller may use the same ones for many calls. */
export function valuesOver(below: ContextValues): ContextValues {
  return new ValuesOver(below);
}

/** Each layer of a call adds one or two, so a list is searched faster than a map is made. */
class ValuesOver implements ContextValues {
  readonly #below: ContextValues;
  readonly #ids: symbol[] = [];
  readonly #values: unknown[] = [];

  constructor(below: ContextValues) {
    this.#below = below;
  }

  get<T>(key: ContextKey<T>): T {
    const at = this.#ids.indexOf(key.id);
    return at < 0 ? this.#below.get(key) : (this.#values[at] as T);
  }

  set<T>(key: ContextKey<T>, value: T): this {
    const at = this.#ids.indexOf(key.id);
    this.#values[at < 0 ? this.#ids.push(key.id) - 1 : at] = value;
    return this;
  }

  delete(key: ContextKey<unknown>): this {
    return this.set(key, key.defaultValue);
  }
}

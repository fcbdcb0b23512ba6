import { AsyncLocalStorage } from "node:async_hooks";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { methodName, type Policies, type RateLimitPolicy } from "../contract/policy.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import type { AppError } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { currentWork } from "../core/work.ts";
import { writeError } from "../rest/error-answer.ts";
import { toConnectError } from "../rpc/errors.ts";
import type { CallLimits } from "../rpc/server/call-limits.ts";
import { answerUnread, type EarlyAnswer, encoderFor } from "../rpc/server/early-answer.ts";
import type { RequestHandler } from "../rpc/server/port.ts";
import { type Allowance, allowance } from "./allowance.ts";
import { type Counted, rateLimitFields, seconds } from "./rate-limit-fields.ts";

type Request = Parameters<RequestHandler>[0];
type Response = Parameters<RequestHandler>[1];

/** How often callers may call. */
export interface CallLimitsOptions {
  /** Those that are offered. */
  readonly services: readonly DescService[];
  /** Where the limits of single methods are. */
  readonly policies: Policies;
  readonly addressOf: (request: Request) => string;
  /** How many calls an address may make in a window. */
  readonly maxCallsPerAddress: number;
  /** How many calls somebody may make who has proved who it is. */
  readonly maxCallsPerCaller: number;
  readonly windowMs: number;
  /** How many are counted at the same time, by each limit. */
  readonly maxKeys: number;
  readonly log: Log;
  /** Learns of each call that is refused, by the name of the limit. */
  readonly onLimited: (limit: string) => void;
}

/** One request, on its way from the connection to the layer that knows its method. */
interface Visit {
  readonly address: string;
  readonly response: Response;
  readonly counted: Counted[];
}

const visits = new AsyncLocalStorage<Visit>();

// They must answer when nothing else does.
const FREE = new RegExp(`^/(healthz|metrics|${Health.typeName}/\\w+)(\\?|$)`);

/**
 * Bounds how often each caller calls, whatever it speaks. Every request counts for its address, but health and metrics; once
 * its caller has proved who it is, it counts for that caller instead. A method with a `rate_limit` in its policy has a count of
 * its own beside that. What is over is refused with RATE_LIMITED, that of an address with its body unread. What is left is told
 * in `ratelimit` and `ratelimit-policy`.
 */
export function callLimits(options: CallLimitsOptions): CallLimits {
  const { services, policies, addressOf, windowMs, maxKeys, log, onLimited } = options;
  const { maxCallsPerAddress, maxCallsPerCaller } = options;
  const perAddress = allowance({ name: "address", maxCalls: maxCallsPerAddress, windowMs, maxKeys });
  const perCaller = allowance({ name: "caller", maxCalls: maxCallsPerCaller, windowMs, maxKeys });
  const methods = new Map<string, DescMethod>(
    services.flatMap((service) =>
      service.methods.map((method) => [`/${service.typeName}/${method.name}`, method] as const),
    ),
  );
  const perMethod = new Map<DescMethod, Allowance>();

  function allowanceOf(method: DescMethod, { maxCalls, windowMs }: RateLimitPolicy): Allowance {
    const known = perMethod.get(method);
    if (known?.maxCalls === maxCalls && known.windowMs === windowMs) return known;
    const made = allowance({ name: methodName(method), maxCalls, windowMs, maxKeys });
    perMethod.set(method, made);
    return made;
  }

  /** Counts a call, and tells its caller. Returns what it is refused with, or undefined. */
  async function count(
    { response, counted }: Visit,
    of: Allowance,
    key: string,
  ): Promise<AppError | undefined> {
    const taken = await of.take(key);
    counted.push({ of, taken });
    for (const [name, value] of Object.entries(rateLimitFields(counted))) response.setHeader(name, value);
    if (!taken.isOver) return undefined;
    response.setHeader("retry-after", seconds(taken.resetMs));
    onLimited(of.name);
    // One line in each window: there is no end to what a caller may ask.
    if (taken.isFirstOver) log.warn({ limit: of.name, maxCalls: of.maxCalls, caller: key }, "rate limited");
    return rateLimited(of, taken.resetMs);
  }

  /** Counts for its caller what was counted for its address, which others use too. */
  async function countFor(caller: string, visit: Visit): Promise<AppError | undefined> {
    visit.counted.length = 0;
    const refusal = await count(visit, perCaller, caller);
    // Who is over goes on counting for the address: proofs cost work.
    if (!refusal) await perAddress.giveBack(visit.address);
    return refusal;
  }

  /** Lets a request in, or answers it and returns nothing. */
  async function arrive(request: Request, response: Response): Promise<Visit | undefined> {
    const visit = { address: addressOf(request), response, counted: [] };
    const refusal = await count(visit, perAddress, visit.address);
    if (!refusal) return visit;
    const method = methods.get(request.url?.split("?", 1)[0] ?? "");
    const encode = method && encoderFor(request, method);
    answerUnread(request, response, encode ? encode(toConnectError(refusal)) : overHttp(request, refusal));
    return undefined;
  }

  return {
    admit(request, response, next) {
      if (FREE.test(request.url ?? "")) return next();
      const failed = (error: unknown) => {
        log.error({ err: error }, "a request could not be counted");
        response.destroy();
      };
      arrive(request, response).then((visit) => visit && visits.run(visit, next), failed);
    },
    interceptor: (next) => async (request) => {
      const visit = visits.getStore();
      if (!visit) return next(request);
      const { caller } = currentWork() ?? {};
      const who = caller && `${caller.kind} ${caller.id}`;
      const { rateLimit } = policies.method(request.method);
      const refusal =
        (who && (await countFor(who, visit))) ||
        (rateLimit && (await count(visit, allowanceOf(request.method, rateLimit), who ?? visit.address)));
      if (refusal) throw refusal;
      return next(request);
    },
  };
}

function rateLimited({ name, maxCalls, windowMs }: Allowance, retryDelayMs: number): AppError {
  const [window, wait] = [seconds(windowMs), seconds(retryDelayMs)];
  const text = `this is more than ${maxCalls} calls in ${window} s; come back in ${wait} s`;
  return refuseByMesh(MeshError.RATE_LIMITED, text, { metadata: { limit: name }, retryDelayMs });
}

function overHttp(request: Request, refusal: AppError): EarlyAnswer {
  const { status, headers, bytes } = writeError(refusal, request.headers.accept ?? null);
  return { status, headers: Object.fromEntries(headers), body: bytes };
}

import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { type Policies, policies as readPolicies } from "../../contract/policy.ts";
import { assertPolicies } from "../../contract/policy-problems.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { type Log, silentLog } from "../../core/log.ts";
import { type Discovery, discover } from "../../discovery/discover.ts";
import { formatTarget, type Target } from "../../discovery/target.ts";
import type { Nats } from "../../nats/connection.ts";
import { abortKey } from "../../resilience/call.ts";
import type { Fallbacks } from "../../resilience/fallback.ts";
import { clientTelemetry } from "../../telemetry/client-telemetry.ts";
import { noTelemetry, type Telemetry } from "../../telemetry/telemetry.ts";
import { type DataPlane, dataPlaneOf } from "../data-planes.ts";
import type { CallObserver } from "./call-observer.ts";
import type { OwnFallback } from "./client-stack.ts";
import { endpointsOf } from "./endpoints.ts";
import { describeAttempt, measureTarget } from "./measure-target.ts";
import { pickedEndpoint } from "./pick-endpoint.ts";
import type { Protocol } from "./protocol.ts";
import { type TargetState, targetState } from "./target-state.ts";
import { transportThrough } from "./transport-through.ts";

/** Which service is called, where it is, and what is spoken with it. */
export interface TargetSettings {
  readonly target: Target;
  readonly protocol: Protocol;
  /** Whose policy its endpoints are judged by. Defaults to what holds for a service that states none. */
  readonly service?: DescService;
}

/** What a client shares with its process. */
export interface ClientOptions {
  readonly clock?: Clock;
  /** A number from 0 to below 1. Defaults to Math.random. */
  readonly random?: () => number;
  /** Defaults to those of the contract. */
  readonly policies?: Policies;
  /** Measures calls and attempts. Defaults to nothing; the trace is passed on either way. */
  readonly telemetry?: Telemetry;
  /** Told besides, in the telemetry's place where the two meet. */
  readonly observer?: Partial<CallObserver>;
  readonly log?: Log;
  /** Where the registry is, for `nats:///` targets. */
  readonly nats?: Nats;
  /** Whether endpoints are asked for their health. Defaults to true. */
  readonly watchesHealth?: boolean;
  /** Says for whom a call is made. Above all that keeps answers, so that nobody is given another's. */
  readonly identity?: Interceptor;
  /** Who makes the calls. Defaults to the first of `dataPlanes`. */
  readonly dataPlane?: DataPlane;
  /** Below all policies, next to the transport. */
  readonly interceptors?: readonly Interceptor[];
}

/** The way to a service: a transport, with all that protects its calls. */
export interface OpenTarget extends Transport {
  readonly name: string;
  readonly protocol: Protocol;
  readonly service: DescService | undefined;
  readonly state: TargetState;
  /** The same way, with the caller's own answers for when there is none. */
  withFallback(own: OwnFallback): Transport;
  /** Begins anew with the policies that are in place now. */
  reload(): void;
  /** Lets its connections go. Safe to call twice. */
  close(): void;
}

// Its contract says nothing of policies, so that its policy is the defaults.
const SILENT = Health;
const SYSTEMS = { grpc: "grpc", connect: "connectrpc" } as const;
const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/** Opens the way to a service; the clients made of it share its endpoints, budgets and connections. */
export function openTarget(settings: TargetSettings, options: ClientOptions = {}): OpenTarget {
  const { target, protocol, service } = settings;
  const { clock = systemClock, random = Math.random, log = silentLog, telemetry = noTelemetry } = options;
  const { policies = readPolicies(), interceptors = [], watchesHealth = true, nats } = options;
  const { dataPlane = dataPlaneOf() } = options;
  const policy = () => policies.service(service ?? SILENT);

  const name = formatTarget(target);
  const observer: CallObserver = {
    ...clientTelemetry(telemetry, {
      target: name,
      system: SYSTEMS[protocol],
      endpointOf: (request) => pickedEndpoint(request)?.address,
      attributesOf: describeAttempt,
    }),
    ...options.observer,
  };
  const endpoints = endpointsOf({
    open: (endpoint) =>
      dataPlane[protocol](endpoint, {
        interceptors: [...interceptors],
        maxMessageBytes: MAX_MESSAGE_BYTES,
        endingOf: (values) => values.get(abortKey),
      }),
    policies: policy(),
    clock,
    random,
    watchesHealth,
    onBreaker(endpoint, from, to, reason) {
      log.warn({ target: name, endpoint: endpoint.address, from, to, reason }, "breaker");
      observer.breakerChanged(endpoint.address, from, to, reason);
    },
  });
  const surroundings = { clock, random, policies, ...(options.identity && { identity: options.identity }) };
  const refresh = () => discovery?.refresh();
  const state = targetState({ name, surroundings, policy: policy(), endpoints, observer, refresh });
  const stopMeasuring = measureTarget(telemetry, state);
  const discovery: Discovery = discover(target, { log, clock, ...(nats && { nats }) }, (found) =>
    endpoints.update(found),
  );

  return {
    ...transportThrough(state),
    name,
    protocol,
    service,
    state,
    withFallback: (own) => transportThrough(state, own),
    reload() {
      state.apply(policy());
      endpoints.apply(policy());
    },
    close() {
      void discovery.stop();
      stopMeasuring();
      endpoints.close();
    },
  };
}

/** What a client may bring beside its target. */
export interface MeshClientOptions<S extends DescService> {
  /** Answers in the service's place, for methods whose contract allows it. */
  readonly fallback?: Fallbacks<S>;
}

/**
 * A client of one service of a target. What goes wrong is a ConnectError; `reasonOf` tells its reason. A stream is left
 * by its signal: connect does not tell the server when its reader merely stops. Throws if the contract's policies
 * cannot work.
 */
export function meshClient<S extends DescService>(
  service: S,
  target: Transport & Partial<Pick<OpenTarget, "withFallback">>,
  { fallback }: MeshClientOptions<S> = {},
): Client<S> {
  assertPolicies([service]);
  if (!fallback) return createClient(service, target);
  if (!target.withFallback) throw new Error("a fallback needs a target of openTarget");
  return createClient(service, target.withFallback({ service, fallbacks: fallback }));
}

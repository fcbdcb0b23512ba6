import { eligible } from "../../balancing/eligible.ts";
import { type Load, peakEwma } from "../../balancing/load.ts";
import { type Candidate, type Pick, picker } from "../../balancing/pick.ts";
import type { BalancerName, BreakerPolicy } from "../../contract/policy.ts";
import type { Clock } from "../../core/clock.ts";
import { addressOf, type Endpoint } from "../../discovery/target.ts";
import { type Breaker, type BreakerReason, type BreakerState, breaker } from "../../resilience/breaker.ts";
import type { ClosableTransport } from "./transport.ts";
import { watchHealth } from "./watch-health.ts";

/** An endpoint of a target, with what is known of it. */
export interface LiveEndpoint extends Candidate {
  readonly address: string;
  readonly transport: ClosableTransport;
  readonly load: Load;
  breaker: Breaker;
  /** What it says of itself; undefined before it said anything. */
  isServing: boolean | undefined;
  /** True while breakers are not looked at, because too many of them are open. */
  isForced: boolean;
  /** The last failure of an attempt there, for people. */
  lastError: { readonly text: string; readonly at: Date } | undefined;
  /** Attempts that were placed there. */
  picked: number;
}

/** The endpoints of a target as they come and go. */
export interface Endpoints {
  /** The endpoint for the next attempt of a call that was at `tried` before, and whose breakers refused at `refused`. */
  pick(tried: ReadonlySet<unknown>, refused: ReadonlySet<LiveEndpoint>): LiveEndpoint | undefined;
  /** These are the endpoints now: new ones warm up, others end what they do and close. */
  update(endpoints: readonly Endpoint[]): void;
  /** Begins anew with other policies. */
  apply(policies: EndpointPolicies): void;
  all(): readonly LiveEndpoint[];
  /** Resolves when it is known for the first time who is there; undefined if it already is. */
  whenKnown(): Promise<void> | undefined;
  close(): void;
}

/** How endpoints are judged and chosen. */
export interface EndpointPolicies {
  readonly breaker: BreakerPolicy;
  readonly balancer: BalancerName;
  readonly slowStartMs: number;
}

/** What endpoints need. */
export interface EndpointsOptions {
  readonly open: (endpoint: Endpoint) => ClosableTransport;
  readonly policies: EndpointPolicies;
  readonly clock: Clock;
  readonly random: () => number;
  /** Whether each is asked for its health. */
  readonly watchesHealth: boolean;
  readonly onBreaker?: (
    endpoint: LiveEndpoint,
    from: BreakerState,
    to: BreakerState,
    reason: BreakerReason,
  ) => void;
}

// A newcomer gets this part of its share at once, so that it can show what it can do.
const MIN_WEIGHT = 0.1;
// How long an endpoint that was removed may end its calls.
const REMOVED_FOR_MS = 30_000;

interface Kept extends LiveEndpoint {
  /** Since when it takes calls, for its slow start. */
  warmFromMs: number;
  stopWatching(): void;
}

/** Keeps the endpoints of a target. Connections are opened at the first call. */
export function endpointsOf(options: EndpointsOptions): Endpoints {
  const { open, clock, random, watchesHealth, onBreaker } = options;
  let { policies } = options;
  let choose: Pick = picker(policies.balancer, random);
  const live = new Map<string, Kept>();
  const closing = new Set<() => void>();
  let isFirstList = true;
  let isUsed = false;
  let isKnown = false;
  const known = Promise.withResolvers<void>();

  function add(endpoint: Endpoint): void {
    const address = addressOf(endpoint);
    const added: Kept = {
      address,
      transport: open(endpoint),
      load: peakEwma(clock, random),
      breaker: newBreaker(() => added),
      isServing: undefined,
      isForced: false,
      lastError: undefined,
      picked: 0,
      // The first list is as warm as it gets: there is nobody else to take the load.
      warmFromMs: isFirstList ? Number.NEGATIVE_INFINITY : clock.now(),
      weight() {
        const share = (clock.now() - added.warmFromMs) / policies.slowStartMs;
        return share >= 1 ? 1 : Math.max(MIN_WEIGHT, share);
      },
      stopWatching: () => {},
    };
    live.set(address, added);
    if (isUsed) watch(added);
  }

  function newBreaker(endpoint: () => Kept): Breaker {
    return breaker(policies.breaker, {
      clock,
      random,
      onChange(from, to, reason) {
        if (to === "CLOSED") endpoint().warmFromMs = clock.now();
        onBreaker?.(endpoint(), from, to, reason);
      },
    });
  }

  function watch(endpoint: Kept): void {
    // One endpoint is kept as long as it works: whether it does is for its calls to tell (gRFC A17).
    if (!watchesHealth || policies.balancer === "pick_first") return;
    endpoint.stopWatching = watchHealth(endpoint.transport, { clock, random }, (isServing) => {
      endpoint.isServing = isServing;
    });
  }

  function remove(address: string, endpoint: Kept): void {
    live.delete(address);
    endpoint.stopWatching();
    const close = () => {
      closing.delete(close);
      cancel();
      endpoint.load.onIdle(undefined);
      endpoint.transport.close();
    };
    const cancel = clock.after(REMOVED_FOR_MS, close);
    closing.add(close);
    endpoint.load.onIdle(close);
  }

  return {
    pick(tried, refused) {
      if (!isUsed) {
        isUsed = true;
        for (const endpoint of live.values()) watch(endpoint);
      }
      const { endpoints, isPanic } = eligible([...live.values()], (each) => ({
        isServing: each.isServing !== false,
        isOpen: each.breaker.isOpen(),
        wasTried: tried.has(each),
        hasRefused: refused.has(each),
      }));
      const chosen = choose(endpoints, tried.size > 0);
      if (chosen) {
        chosen.isForced = isPanic;
        chosen.picked++;
      }
      return chosen;
    },
    update(endpoints) {
      const wanted = new Set(endpoints.map(addressOf));
      for (const [address, endpoint] of live) if (!wanted.has(address)) remove(address, endpoint);
      for (const endpoint of endpoints) if (!live.has(addressOf(endpoint))) add(endpoint);
      if (endpoints.length > 0) isFirstList = false;
      isKnown = true;
      known.resolve();
    },
    apply(next) {
      policies = next;
      choose = picker(policies.balancer, random);
      for (const endpoint of live.values()) endpoint.breaker = newBreaker(() => endpoint);
    },
    all: () => [...live.values()],
    whenKnown: () => (isKnown ? undefined : known.promise),
    close() {
      for (const [address, endpoint] of live) {
        live.delete(address);
        endpoint.stopWatching();
        endpoint.transport.close();
      }
      for (const close of closing) close();
    },
  };
}

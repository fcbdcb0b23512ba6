import {
  type MethodPolicy,
  type Policies,
  policies,
  type RetryPolicy,
  type ServicePolicy,
} from "../../contract/policy.ts";

/** What differs from the mesh's defaults. */
export interface Variant {
  readonly method?: Partial<Omit<MethodPolicy, "retry">>;
  readonly retry?: Partial<RetryPolicy>;
  readonly service?: Partial<ServicePolicy>;
}

/** The policies of a contract that states nothing, with what differs; also what a contract could not state. */
export function variantOf({ method, retry, service }: Variant = {}): Policies {
  const base = policies();
  return {
    method(desc) {
      const policy = base.method(desc);
      return { ...policy, ...method, retry: { ...policy.retry, ...retry } };
    },
    service: (desc) => ({ ...base.service(desc), ...service }),
    use() {},
  };
}

/** A breaker that never opens. */
export const NO_BREAKER: ServicePolicy["breaker"] = {
  consecutive: Number.POSITIVE_INFINITY,
  failureRatio: 1,
  minCalls: Number.POSITIVE_INFINITY,
  window: { timeMs: 10_000 },
  openBaseMs: 1_000,
  openMaxMs: 60_000,
  openJitter: 0.5,
  probes: 1,
  slow: undefined,
};

/** A budget that never refuses, as if there were none. */
export const NO_BUDGET: ServicePolicy["gate"] = {
  kind: "budget",
  ratio: 1e9,
  minPerSecond: 1e9,
  ttlMs: 10_000,
};

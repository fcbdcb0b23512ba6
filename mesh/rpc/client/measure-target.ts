import type { BreakerState } from "../../resilience/breaker.ts";
import { attemptOf } from "../../resilience/call.ts";
import { outcomeOf } from "../../resilience/outcome.ts";
import type { CallEnd, CallRequest } from "../../telemetry/call-attributes.ts";
import type { Telemetry } from "../../telemetry/telemetry.ts";
import type { LiveEndpoint } from "./endpoints.ts";
import { pickedEndpoint } from "./pick-endpoint.ts";
import type { TargetState } from "./target-state.ts";

const STATES: Readonly<Record<BreakerState, number>> = { CLOSED: 0, HALF_OPEN: 1, OPEN: 2 };

/** Shows the state of a target in the gauges of the telemetry. Returns what ends that; safe to call twice. */
export function measureTarget(telemetry: Telemetry, state: TargetState): () => void {
  const { name: target, endpoints } = state;
  const unary = { target, class: "unary" };
  const each = (value: (endpoint: ReturnType<typeof endpoints.all>[number]) => number) => () =>
    endpoints.all().map((endpoint) => ({
      value: value(endpoint),
      attributes: { target, endpoint: endpoint.address },
    }));
  const ends = [
    telemetry.gauge("mesh.retry.budget.balance", () => [
      { value: state.gateOf().balance(), attributes: { target } },
    ]),
    telemetry.gauge("mesh.bulkhead.inflight", () => [{ value: state.calls().inflight, attributes: unary }]),
    telemetry.gauge("mesh.bulkhead.limit", () => [{ value: state.calls().limit, attributes: unary }]),
    telemetry.gauge(
      "mesh.breaker.state",
      each(({ breaker }) => STATES[breaker.describe().state]),
    ),
    // Who has not answered yet and is busy costs what nobody knows; the balancer's number for that is no time.
    telemetry.gauge("mesh.lb.endpoint.cost", () =>
      each(({ load }) => load.cost() / 1_000)().filter((_, at) => isKnown(endpoints.all()[at])),
    ),
    telemetry.gauge(
      "mesh.lb.endpoint.pending",
      each(({ load }) => load.pending),
    ),
    telemetry.gauge("mesh.lb.endpoint.share", () => {
      const total = endpoints.all().reduce((sum, { picked }) => sum + picked, 0);
      return total === 0 ? [] : each(({ picked }) => picked / total)();
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}

function isKnown(endpoint: LiveEndpoint | undefined): boolean {
  return endpoint !== undefined && (endpoint.load.pending === 0 || endpoint.load.latencyMs() > 0);
}

/** What the span of an attempt says besides: which one it was, where it went, and how it ended. */
export function describeAttempt(request: CallRequest, { error }: CallEnd): Record<string, string | number> {
  const endpoint = pickedEndpoint(request);
  return {
    ...(endpoint && { "mesh.attempt": attemptOf(request).number, "mesh.endpoint": endpoint.address }),
    ...(error !== undefined && { "mesh.outcome.kind": outcomeOf(error).kind }),
  };
}

import { type Gate, isForOperators } from "./gate.ts";
import { shed } from "./shed.ts";

/** A layer that counts streams. */
export interface StreamBound extends Gate {
  /** How many streams are open, those for operators left out. */
  open(): number;
}

// A stream that is refused here was to stay; its caller need not hurry.
const PUSHBACK_MS = 1_000;

/** Refuses, with SHED, streams beyond so many at a time; those for operators are always let in. */
export function boundStreams(max: number, random: () => number): StreamBound {
  let open = 0;
  const refuse = () => shed("streams", Math.round((0.5 + random()) * PUSHBACK_MS));
  return {
    open: () => open,
    refusal: ({ method }) =>
      open >= max && method.methodKind !== "unary" && !isForOperators(method.parent) ? refuse() : undefined,
    interceptor: (next) => (request) => {
      const { stream, service, signal } = request;
      if (!stream || isForOperators(service) || signal.aborted) return next(request);
      if (open >= max) return Promise.reject(refuse());
      open++;
      // Connect aborts the signal of every call when it is over, however that came.
      signal.addEventListener("abort", () => open--, { once: true });
      return next(request);
    },
  };
}

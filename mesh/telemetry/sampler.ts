import { ROOT_CONTEXT } from "@opentelemetry/api";
import { SamplingDecision, TraceIdRatioBasedSampler } from "@opentelemetry/sdk-trace";
import { isSampled, type Sampler } from "../core/trace.ts";
import type { TelemetrySettings } from "./settings.ts";

/** Samples what its caller samples, and nothing that begins here. */
export const followParent: Sampler = (_, parent) => parent !== undefined && isSampled(parent);

/** The sampler that the settings name. A ratio takes the same traces in every process, whatever language that is in. */
export function samplerOf({
  otelSampler,
  otelSamplerRatio,
}: Pick<TelemetrySettings, "otelSampler" | "otelSamplerRatio">): Sampler {
  const decide = deciders[otelSampler.replace("parentbased_", "") as keyof typeof deciders](otelSamplerRatio);
  if (!otelSampler.startsWith("parentbased_")) return decide;
  return (traceId, parent) => (parent ? isSampled(parent) : decide(traceId));
}

const deciders = {
  always_on: () => () => true,
  always_off: () => () => false,
  traceidratio(ratio: number) {
    const sampler = new TraceIdRatioBasedSampler(ratio);
    return (traceId: string) =>
      sampler.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
  },
};

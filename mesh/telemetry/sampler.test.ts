import { describe, expect, test } from "vitest";
import { childOf } from "../core/trace.ts";
import { followParent, samplerOf } from "./sampler.ts";

const id = "a".repeat(32);
const parent = (flags: string) => ({ traceId: id, spanId: "b".repeat(16), flags });

describe.each([
  // sampler, root, child of a sampled one, child of one that is not
  ["always_on", true, true, true],
  ["always_off", false, false, false],
  ["traceidratio", true, true, true],
  ["parentbased_always_on", true, true, false],
  ["parentbased_always_off", false, true, false],
  ["parentbased_traceidratio", true, true, false],
] as const)("%s", (otelSampler, root, ofSampled, ofUnsampled) => {
  const sampler = samplerOf({ otelSampler, otelSamplerRatio: 1 });
  test("decides for what begins here, and for what comes from others", () => {
    expect(sampler(id, undefined)).toBe(root);
    expect(sampler(id, parent("01"))).toBe(ofSampled);
    expect(sampler(id, parent("00"))).toBe(ofUnsampled);
  });
});

test("a ratio takes its part of the traces, and always the same ones", () => {
  const quarter = samplerOf({ otelSampler: "traceidratio", otelSamplerRatio: 0.25 });
  const none = samplerOf({ otelSampler: "traceidratio", otelSamplerRatio: 0 });
  const ids = Array.from({ length: 4_000 }, () => childOf(undefined).traceId);
  const taken = ids.filter((each) => quarter(each, undefined));
  // 20 standard deviations wide.
  expect(taken.length).toBeGreaterThan(450);
  expect(taken.length).toBeLessThan(1_550);
  expect(taken.every((each) => quarter(each, undefined))).toBe(true);
  expect(ids.some((each) => none(each, undefined))).toBe(false);
});

test("without spans, what comes from others stays as they want it, and nothing begins sampled", () => {
  expect(childOf(undefined, followParent).flags).toBe("00");
  expect(childOf(parent("01"), followParent).flags).toBe("01");
  expect(childOf(parent("00"), followParent).flags).toBe("00");
});

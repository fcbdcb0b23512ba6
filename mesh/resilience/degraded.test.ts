import { expect, test } from "vitest";
import { toyMethod, unaryAnswer } from "../testing/toy-calls.ts";
import { asDegraded, degradedOf, isDegraded, markDegraded } from "./degraded.ts";

const answer = () => unaryAnswer({ method: toyMethod() }, "yes", { "x-own": "kept" });

test("an answer that is degraded says how in its trailer; what it was made of says nothing", () => {
  const own = answer();
  const degraded = asDegraded(own, "stale");
  expect(Object.fromEntries(degraded.trailer)).toEqual({ "x-own": "kept", "mesh-degraded": "stale" });
  expect([degradedOf(degraded), isDegraded(degraded)]).toEqual(["stale", true]);
  expect([degradedOf(own), isDegraded(own)]).toEqual([undefined, false]);
  expect(degraded.message).toBe(own.message);
});

test("a handler whose question was answered so passes it on, and only then", () => {
  const trailer = new Headers();
  markDegraded(trailer, degradedOf(answer()));
  expect(isDegraded({ trailer })).toBe(false);
  markDegraded(trailer, degradedOf(asDegraded(answer(), "fallback")));
  expect(degradedOf({ trailer })).toBe("fallback");
});

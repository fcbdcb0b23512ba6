import { expect, test } from "vitest";
import { readCarried } from "./carried.ts";

const read = (headers: Record<string, string>) => readCarried((name) => headers[name]);

test("a request carries its tenant and its baggage, and nothing else of its caller's", () => {
  expect(read({ tenant: "acme", baggage: "plan=gold,team=a%20b", cookie: "secret" })).toEqual({
    tenant: "acme",
    baggage: "plan=gold,team=a%20b",
  });
  expect(read({ baggage: "plan=gold" })).toEqual({ baggage: "plan=gold" });
});

test("who carries nothing has nothing to pass on", () => {
  expect(read({})).toBeUndefined();
  expect(read({ tenant: "", baggage: "" })).toBeUndefined();
});

test("what is too long or cannot stand in a header is left behind", () => {
  expect(read({ tenant: "x".repeat(128), baggage: "x".repeat(2_048) })).toEqual({
    tenant: "x".repeat(128),
    baggage: "x".repeat(2_048),
  });
  expect(read({ tenant: "x".repeat(129), baggage: "x".repeat(2_049) })).toBeUndefined();
  expect(read({ tenant: "a b", baggage: "a=1\r\nevil: 1" })).toBeUndefined();
});

import { expect, test } from "vitest";
import { fieldBytes, hasOwnIndexing, indexingOf } from "./header-field.ts";

test.each([
  ["authorization", "never"],
  ["cookie", "never"],
  ["set-cookie", "never"],
  ["grpc-timeout", "literal"],
  ["traceparent", "literal"],
  ["content-length", "literal"],
  [":path", "index"],
  ["x-tenant", "index"],
])("%s is written as %s", (name, indexing) => {
  expect(indexingOf(name)).toBe(indexing);
  expect(hasOwnIndexing(name)).toBe(indexing !== "index");
});

test("a field counts for 32 bytes more than its octets (RFC 7541, section 4.1)", () => {
  expect(fieldBytes({ name: "custom-key", value: "custom-header" })).toBe(55);
});

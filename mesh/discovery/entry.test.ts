import { expect, test } from "vitest";
import { encodeEntry, keyOf, keysOf, readEndpoint } from "./entry.ts";

const startedAt = "2026-01-01T12:00:00.000Z";
const entry = (instance: string, host = "10.0.0.1") => ({ instance, endpoint: { host, port: 7 }, startedAt });
const bytes = (text: string) => new TextEncoder().encode(text);

test("a key is made of service, instance and address, of legal characters only", () => {
  expect(keyOf("product", entry("1"))).toBe("product.1.10=2e0=2e0=2e1=3a7");
  expect(keyOf("shop.Product_v-1", entry("pöd *>=.", "::1"))).toBe(
    "shop=2eProduct_v-1.p=c3=b6d=20=2a=3e=3d=2e.=5b=3a=3a1=5d=3a7",
  );
});

test("no two instances have one key", () => {
  const names = ["a.b", "a=2eb", "a=b", "a b", "ab", "a", "b.a"];
  expect(new Set(names.map((name) => keyOf("product", entry(name)))).size).toBe(names.length);
  expect(keyOf("product", entry("1", "10.0.0.2"))).not.toBe(keyOf("product", entry("1")));
});

test("the keys of a service are those of no other", () => {
  expect(keysOf("product")).toBe("product.>");
  expect(keysOf("product.v1")).toBe("product=2ev1.>");
});

test("an entry is read as it was written", () => {
  const written = encodeEntry(entry("1", "::1"));
  expect(JSON.parse(new TextDecoder().decode(written))).toEqual({
    host: "::1",
    port: 7,
    instance: "1",
    startedAt,
  });
  expect(readEndpoint(written)).toEqual({ host: "::1", port: 7 });
});

test("what does not know our other fields, or knows more, is an entry", () => {
  expect(readEndpoint(bytes('{"host":"a","port":1,"zone":"x"}'))).toEqual({ host: "a", port: 1 });
});

test.each([
  "",
  "null",
  "7",
  "{",
  '{"host":"a"}',
  '{"host":"a","port":"1"}',
  '{"host":"a/b","port":1}',
  '{"host":"","port":1}',
  '{"host":"a","port":0}',
  `{"host":"a","port":1,"x":"${"x".repeat(1_024)}"}`,
])("ignores %.40s", (text) => {
  expect(readEndpoint(bytes(text))).toBeUndefined();
});

test("a long entry is not written", () => {
  expect(() => encodeEntry(entry("x".repeat(1_024)))).toThrow("more than 1024 bytes");
});

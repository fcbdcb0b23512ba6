import type { DescMethod } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { methodPolicy } from "../contract/policy.ts";
import { etagOf, hasAlready, keepingHeaders } from "./keeping.ts";

const NOW = { isDegraded: false, isForOne: false };
const bytes = (text: string) => new TextEncoder().encode(text);

test("an answer is kept as long as the contract says", () => {
  expect(keepingHeaders(methodPolicy(ProductService.method.getProduct), NOW)).toEqual({
    "cache-control": "max-age=1, stale-while-revalidate=4, stale-if-error=300",
    vary: "authorization",
  });
});

test("without a policy an answer is not used unasked", () => {
  expect(keepingHeaders(methodPolicy(ProductService.method.listProducts), NOW)).toEqual({
    "cache-control": "no-cache",
    vary: "authorization",
  });
});

test("an answer that stands in for another is not kept", () => {
  const policy = methodPolicy(ProductService.method.getProduct);
  expect(keepingHeaders(policy, { ...NOW, isDegraded: true })["cache-control"]).toBe("no-store");
});

test("what is for one is not kept, unless its policy says so", () => {
  const control = (method: DescMethod) =>
    keepingHeaders(methodPolicy(method), { ...NOW, isForOne: true })["cache-control"];
  expect(control(ProductService.method.listProducts)).toBe("no-store");
  expect(control(ProductService.method.getProduct)).toContain("max-age=1");
});

test("less than a second is not kept, and headers that the answer depends on are named", () => {
  const policy = methodPolicy(ProductService.method.getProduct);
  const cache = {
    ttlMs: 900,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    negativeTtlMs: 0,
    varyHeaders: ["authorization", "tenant"],
  };
  expect(keepingHeaders({ ...policy, cache }, NOW)).toEqual({
    "cache-control": "max-age=0",
    vary: "authorization, tenant",
  });
});

test("the same bytes have the same validator, others another", () => {
  expect(etagOf(bytes("a"))).toBe(etagOf(bytes("a")));
  expect(etagOf(bytes("a"))).not.toBe(etagOf(bytes("b")));
  expect(etagOf(bytes("a"))).toMatch(/^"[\w-]{22}"$/);
});

test.each([
  [null, false],
  ['"a"', true],
  ['W/"a"', true],
  ['"b", "a"', true],
  ["*", true],
  ['"b"', false],
])("if-none-match: %s", (header, has) => {
  expect(hasAlready(header, '"a"')).toBe(has);
});

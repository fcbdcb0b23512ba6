import { expect, test } from "vitest";
import { readConfig } from "../core/config.ts";
import { addressOf, formatTarget, isEndpoint, parseTarget, target } from "./target.ts";

const read = (raw?: string) =>
  readConfig({ target: target("TARGET", "static:///localhost:1") }, { TARGET: raw }).target;

test.each([
  [
    "static:///127.0.0.1:50051,product.svc:50151,[::1]:7",
    {
      scheme: "static",
      endpoints: [
        { host: "127.0.0.1", port: 50051 },
        { host: "product.svc", port: 50151 },
        { host: "::1", port: 7 },
      ],
    },
  ],
  ["dns:///product.shop.svc:50051", { scheme: "dns", host: "product.shop.svc", port: 50051 }],
  ["dns:///[::1]:7", { scheme: "dns", host: "::1", port: 7 }],
  ["nats:///product", { scheme: "nats", service: "product" }],
  ["nats:///shop.product.v1.ProductService", { scheme: "nats", service: "shop.product.v1.ProductService" }],
])("reads %s, and writes it the same", (raw, parsed) => {
  expect(read(raw)).toEqual(parsed);
  expect(formatTarget(parseTarget(raw))).toBe(raw);
});

test("has a default, or is required", () => {
  expect(read()).toEqual({ scheme: "static", endpoints: [{ host: "localhost", port: 1 }] });
  expect(() => readConfig({ target: target("TARGET") }, {})).toThrow("TARGET is not set");
});

test.each([
  "127.0.0.1:50051",
  "http:///product:50051",
  "static://product:50051",
  "static:///",
  "static:///product",
  "static:///product:",
  "static:///:50051",
  "static:///product:port",
  "static:///product:0",
  "static:///product:70000",
  "static:///a:1,,b:2",
  "static:///a:1/path",
  "static:///user:secret@a:1",
  "static:///[fe80::1%eth0]:1",
  "static:///[product]:1",
  "static:///::1:1",
  "static:///a b:1",
  "dns:///",
  "dns:///:50051",
  "dns:///a:1,b:2",
  "dns:///product:50051/",
  "nats:///",
  "nats:///product/1",
  "nats:///product.*",
  `nats:///${"p".repeat(101)}`,
])("refuses %s", (raw) => {
  expect(() => read(raw)).toThrow("TARGET must");
});

test.each(["dns:///product", "dns:///[::1]"])("says of %s that it has no port", (raw) => {
  expect(() => read(raw)).toThrow(`TARGET must name a port, as in dns:///product:50051, not "${raw}"`);
});

test("an address has an IPv6 host in brackets", () => {
  expect(addressOf({ host: "product.svc", port: 1 })).toBe("product.svc:1");
  expect(addressOf({ host: "::1", port: 1 })).toBe("[::1]:1");
});

test("an endpoint is a host and a port that could be dialled", () => {
  expect(isEndpoint({ host: "10.0.0.1", port: 1 })).toBe(true);
  for (const host of [undefined, 1, "", ".", "a..b", "-a", "a/b", "x".repeat(254), "a\n"])
    expect(isEndpoint({ host, port: 1 })).toBe(false);
  for (const port of [undefined, "1", 0, 65_536, 1.5, Number.NaN])
    expect(isEndpoint({ host: "a", port })).toBe(false);
});

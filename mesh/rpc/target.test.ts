import { expect, test } from "vitest";
import { readConfig } from "../core/config.ts";
import { endpoints } from "./target.ts";

const read = (raw?: string) =>
  readConfig({ target: endpoints("TARGET", "static:///localhost:1") }, { TARGET: raw }).target;

test("lists the instances of a service", () => {
  expect(read("static:///127.0.0.1:50051,product.svc:50151,[::1]:7")).toEqual([
    { host: "127.0.0.1", port: 50051 },
    { host: "product.svc", port: 50151 },
    { host: "[::1]", port: 7 },
  ]);
});

test("has a default, or is required", () => {
  expect(read()).toEqual([{ host: "localhost", port: 1 }]);
  expect(() => readConfig({ target: endpoints("TARGET") }, {})).toThrow("TARGET is not set");
});

test.each([
  "127.0.0.1:50051",
  "dns:///product:50051",
  "static:///",
  "static:///product",
  "static:///product:",
  "static:///:50051",
  "static:///product:port",
  "static:///product:70000",
  "static:///a:1,,b:2",
  "static:///a:1/path",
  "static:///user:secret@a:1",
])("refuses %s", (raw) => {
  expect(() => read(raw)).toThrow("TARGET must");
});

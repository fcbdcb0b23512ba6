import { expect, test } from "vitest";
import { callTerms } from "./call-terms.ts";

test("what a caller says of its call goes along, and nothing else", () => {
  const { header } = callTerms(
    new Headers({
      authorization: "Bearer t",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      tenant: "acme",
      "x-request-id": "r1",
      cookie: "secret",
      "content-type": "application/json",
      accept: "*/*",
    }),
  );
  expect([...header.keys()]).toEqual(["authorization", "tenant", "traceparent", "x-request-id"]);
});

test("what HTTP takes and gRPC does not is left behind", () => {
  const { header } = callTerms(new Headers({ tenant: "\u00e9", authorization: "Bearer t" }));
  expect([...header.keys()]).toEqual(["authorization"]);
});

test.each([
  [{}, undefined],
  [{ "request-timeout": "2" }, 2_000],
  [{ "request-timeout": "0.25" }, 250],
  [{ "grpc-timeout": "300m" }, 300],
  [{ "request-timeout": "1", "grpc-timeout": "300m" }, 1_000],
])("%j", (headers, expected) => {
  expect(callTerms(new Headers(headers as Record<string, string>)).timeoutMs).toBe(expected);
});

test.each(["soon", "-1", "1s", "1e3", ""])("a timeout of %j is refused", (text) => {
  expect(() => callTerms(new Headers({ "request-timeout": text }))).toThrow(
    `request-timeout: is a number of seconds, not "${text}"`,
  );
});

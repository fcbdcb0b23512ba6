import { expect, test } from "vitest";
import { readConfig } from "../core/config.ts";
import { edgeSettings } from "./settings.ts";

test("the defaults limit, and believe no proxy", () => {
  expect(readConfig(edgeSettings, {})).toEqual({
    rateLimit: "on",
    rateLimitPerAddress: 600,
    rateLimitPerCaller: 1_200,
    rateLimitWindowMs: 60_000,
    rateLimitMaxKeys: 50_000,
    trustedProxies: [],
  });
});

test("proxies are addresses, ranges and names of ranges", () => {
  const { trustedProxies } = readConfig(edgeSettings, {
    TRUSTED_PROXIES: "loopback, 10.0.0.0/8,2001:db8::/32, 192.0.2.1",
  });
  expect(trustedProxies).toEqual(["loopback", "10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]);
});

test.each([
  [{ TRUSTED_PROXIES: "loopback,proxy.example" }, 'not "proxy.example"'],
  [{ TRUSTED_PROXIES: "10.0.0.0/99" }, 'not "10.0.0.0/99"'],
  [{ TRUSTED_PROXIES: "," }, 'not ""'],
  [{ RATE_LIMIT: "maybe" }, "RATE_LIMIT must be one of on, off"],
  [{ RATE_LIMIT_CALLS_PER_ADDRESS: "0" }, "RATE_LIMIT_CALLS_PER_ADDRESS must be a whole number from 1"],
  [{ RATE_LIMIT_WINDOW_MS: "999" }, "RATE_LIMIT_WINDOW_MS must be a whole number from 1000"],
  [{ RATE_LIMIT_MAX_KEYS: "0" }, "RATE_LIMIT_MAX_KEYS must be a whole number from 1"],
])("%j is refused", (env, problem) => {
  expect(() => readConfig(edgeSettings, env)).toThrow(problem);
});

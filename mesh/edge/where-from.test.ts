import { expect, test } from "vitest";
import { whereFrom } from "./where-from.ts";

type Request = Parameters<ReturnType<typeof whereFrom>["addressOf"]>[0];

const from = (remoteAddress: string | undefined, headers: Record<string, string> = {}) =>
  ({ socket: { remoteAddress }, headers }) as unknown as Request;
const forwarded = (by: string, addresses: string) => from(by, { "x-forwarded-for": addresses });

test("without trusted proxies the address is the connection's, whatever the request says", () => {
  const { addressOf, isSecure } = whereFrom([]);
  expect(addressOf(forwarded("203.0.113.9", "198.51.100.1"))).toBe("203.0.113.9");
  expect(addressOf(forwarded("127.0.0.1", "198.51.100.1"))).toBe("127.0.0.1");
  expect(isSecure(from("127.0.0.1", { "x-forwarded-proto": "https" }))).toBe(false);
});

test.each([
  ["one proxy", "10.0.0.1", "198.51.100.1", "198.51.100.1"],
  ["two proxies", "10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"],
  ["an address that the caller made up", "10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"],
  ["a proxy that the caller made up", "10.0.0.1", "192.0.2.66, 10.0.0.7, 198.51.100.1", "198.51.100.1"],
  ["a caller who is no proxy", "203.0.113.9", "198.51.100.1", "203.0.113.9"],
  ["a proxy that calls itself", "10.0.0.1", "", "10.0.0.1"],
  ["what is no address", "10.0.0.1", "unknown", "10.0.0.1"],
  ["an IPv4 address in IPv6", "::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"],
])("behind trusted proxies: %s", (_, by, addresses, counted) => {
  expect(whereFrom(["10.0.0.0/24"]).addressOf(forwarded(by, addresses))).toBe(counted);
});

test("all of a /64 is one caller, however its addresses are written", () => {
  const { addressOf } = whereFrom([]);
  const counted = ["2001:db8:1:2::3", "2001:0DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2:0:0:0:1"].map(
    (each) => addressOf(from(each)),
  );
  expect(new Set(counted)).toEqual(new Set(["2001:db8:1:2::/64"]));
  expect(addressOf(from("2001:db8:1:3::3"))).toBe("2001:db8:1:3::/64");
  expect(addressOf(from("::1"))).toBe("0:0:0:0::/64");
});

test("a connection that has gone has no address", () => {
  expect(whereFrom([]).addressOf(from(undefined))).toBe("");
  expect(whereFrom(["loopback"]).addressOf(from(undefined))).toBe("");
});

test("a proxy that is trusted may say that its caller speaks TLS, nobody else", () => {
  const { isSecure } = whereFrom(["loopback"]);
  expect(isSecure(from("127.0.0.1", { "x-forwarded-proto": "https" }))).toBe(true);
  expect(isSecure(from("127.0.0.1", { "x-forwarded-proto": "http" }))).toBe(false);
  expect(isSecure(from("203.0.113.9", { "x-forwarded-proto": "https" }))).toBe(false);
  expect(isSecure(from(undefined, { "x-forwarded-proto": "https" }))).toBe(false);
});

import proxyAddr from "proxy-addr";
import { choice, integer, type Setting } from "../core/config.ts";

/** The settings of a process that callers from outside reach first. */
export const edgeSettings = {
  /** `off` lets everybody call as often as they like. */
  rateLimit: choice("RATE_LIMIT", ["on", "off"], "on"),
  /** How many calls an address may make in a window, unless who calls has signed in. */
  rateLimitPerAddress: integer("RATE_LIMIT_CALLS_PER_ADDRESS", 600, { min: 1 }),
  /** How many calls somebody who has signed in may make in a window, from all addresses together. */
  rateLimitPerCaller: integer("RATE_LIMIT_CALLS_PER_CALLER", 1_200, { min: 1 }),
  /** How long a window is; it begins with its first call. */
  rateLimitWindowMs: integer("RATE_LIMIT_WINDOW_MS", 60_000, { min: 1_000, max: 86_400_000 }),
  /** How many addresses, and how many callers, are counted at the same time; who has not called for longest is forgotten. */
  rateLimitMaxKeys: integer("RATE_LIMIT_MAX_KEYS", 50_000, { min: 1, max: 1_000_000 }),
  /**
   * The proxies in front, whose `x-forwarded-for` and `x-forwarded-proto` are believed: addresses and CIDR ranges with commas
   * between them, `loopback`, `linklocal`, `uniquelocal`. Empty believes nobody.
   */
  trustedProxies: proxies("TRUSTED_PROXIES"),
};

/** Ranges of addresses, with commas between them; none if it is absent. */
export function proxies(name: string): Setting<readonly string[]> {
  const parse = (raw: string) => {
    const ranges = raw.split(",").map((range) => range.trim());
    for (const range of ranges) {
      try {
        proxyAddr.compile(range);
      } catch {
        throw new Error(
          `must be addresses, CIDR ranges, loopback, linklocal or uniquelocal, with commas between them, not "${range}"`,
        );
      }
    }
    return ranges;
  };
  return { name, parse, fallback: [] };
}

import { createHash } from "node:crypto";
import type { MethodPolicy } from "../contract/policy.ts";

/**
 * The headers that say how long an answer without side effects may be kept, as the method's `cache` policy has it (RFC 9111,
 * RFC 5861). Without one it may be kept, but not used unasked, and not at all if it is for somebody who says who they are. An
 * answer that only stands in for another is not kept.
 */
export function keepingHeaders(
  { cache }: MethodPolicy,
  { isDegraded, isForOne }: { isDegraded: boolean; isForOne: boolean },
): Record<string, string> {
  const vary = (cache?.varyHeaders ?? ["authorization"]).join(", ");
  if (isDegraded) return { "cache-control": "no-store", vary };
  if (!cache) return { "cache-control": isForOne ? "no-store" : "no-cache", vary };
  const directives = [
    ["max-age", cache.ttlMs],
    ["stale-while-revalidate", cache.staleWhileRevalidateMs],
    ["stale-if-error", cache.staleIfErrorMs],
  ] as const;
  const control = directives
    .map(([name, ms]) => [name, Math.floor(ms / 1000)] as const)
    .filter(([name, seconds]) => name === "max-age" || seconds > 0)
    .map(([name, seconds]) => `${name}=${seconds}`);
  return { "cache-control": control.join(", "), vary };
}

/** A strong validator of these bytes (RFC 9110, section 8.8.3): the same bytes have the same one. */
export function etagOf(bytes: Uint8Array): string {
  return `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
}

/** True if `if-none-match` names this validator, so that its caller has these bytes already. */
export function hasAlready(ifNoneMatch: string | null, etag: string): boolean {
  if (ifNoneMatch === null) return false;
  if (ifNoneMatch.trim() === "*") return true;
  return ifNoneMatch.split(",").some((each) => each.trim().replace(/^W\//, "") === etag);
}

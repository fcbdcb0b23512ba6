import type { UnaryResponse } from "@connectrpc/connect";

/** Where an answer comes from that is not the server's answer to this call. */
export type Degraded = "fallback" | "stale";

const TRAILER = "mesh-degraded";

/** Marks an answer, in its trailer `mesh-degraded`. */
export function asDegraded(response: UnaryResponse, how: Degraded): UnaryResponse {
  const trailer = new Headers(response.trailer);
  markDegraded(trailer, how);
  return { ...response, trailer };
}

/** Marks the answer of a handler whose own question was answered so; not if it was answered well. */
export function markDegraded(trailer: Headers, how: Degraded | undefined): void {
  if (how) trailer.set(TRAILER, how);
}

/** How an answer is degraded; undefined if it is the server's own. */
export function degradedOf(response: { readonly trailer: Headers }): Degraded | undefined {
  return (response.trailer.get(TRAILER) as Degraded | null) ?? undefined;
}

/** True if the answer is not the server's answer to this call. */
export function isDegraded(response: { readonly trailer: Headers }): boolean {
  return response.trailer.has(TRAILER);
}

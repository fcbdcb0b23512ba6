import type { HttpHandler } from "../../mesh/rpc/server/http-fallback.ts";
import { JWKS_MAX_AGE_MS } from "./key-schedule.ts";
import type { SigningKeys } from "./signing-keys.ts";

const PATH = "/.well-known/jwks.json";

/** Serves the public keys (RFC 7517) that tokens are checked with. */
export function jwksPage(keys: SigningKeys): HttpHandler {
  return (request) => (new URL(request.url).pathname === PATH ? page() : undefined);

  async function page(): Promise<Response> {
    return new Response(JSON.stringify({ keys: await keys.published() }), {
      headers: {
        "content-type": "application/jwk-set+json",
        "cache-control": `public, max-age=${JWKS_MAX_AGE_MS / 1000}`,
      },
    });
  }
}

import { existsSync } from "node:fs";
import { join } from "node:path";
import { staticFiles } from "../../mesh/rest/static-files.ts";
import type { FileHandler } from "../../mesh/rpc/server/http-fallback.ts";

/** The paths that the page shows something at; `web/src/app.tsx` says what. */
const PAGE_PATH = /^\/((basket|orders|products\/[^/]+|orders\/[^/]+)\/?)?$/;

/** The build gives every file an ending. */
const NAMED_AS_FILE = /\.[a-z0-9]+$/;

/** What the build names by its content, so that it never changes. */
const NAMED_BY_CONTENT = /^\/assets\//;

/** The page may load what comes from its own origin, and nothing that stands in it or in an address. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

/**
 * Offers the shop's page, as `vite build` left it in a folder: its files, and the page itself at each of the paths that it
 * shows something at. Undefined if nothing is built there.
 */
export function shopPage(folder: string): FileHandler | undefined {
  if (!existsSync(join(folder, "index.html"))) return undefined;
  const files = staticFiles({
    folder,
    // `make web` may build it anew beside a gateway that runs.
    isLive: true,
    // So that calls over HTTP, whose paths have no such ending, need not be looked for on the disk.
    isOffered: (file) => NAMED_AS_FILE.test(file),
    cacheControl: (file) =>
      NAMED_BY_CONTENT.test(file) ? "public, max-age=31536000, immutable" : "no-cache",
    headers: { "content-security-policy": POLICY, "referrer-policy": "same-origin" },
  });
  return (request, response) => {
    const { url = "/" } = request;
    const [path = ""] = url.split("?", 1);
    if (!PAGE_PATH.test(path)) return files(request, response);
    request.url = "/index.html";
    const isAnswered = files(request, response);
    request.url = url;
    return isAnswered;
  };
}

import type { IncomingMessage, ServerResponse } from "node:http";
import sirv from "sirv";
import type { FileHandler } from "../rpc/server/http-fallback.ts";

/** Which files are offered, and how. */
export interface StaticFilesOptions {
  readonly folder: string;
  /** The path that they are below, such as `/docs`. Defaults to the root. */
  readonly at?: string;
  /** Whether a file is offered, by its path in the folder, such as `/index.html`. Defaults to all. */
  readonly isOffered?: (file: string) => boolean;
  /** What `cache-control` says of a file. Defaults to `no-cache`: it may be kept, and is asked for again. */
  readonly cacheControl?: (file: string) => string;
  /** Whether files that change or come later are seen, as those of a folder that is built anew. Defaults to false. */
  readonly isLive?: boolean;
  /** What each answer says beside that, in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Offers the files that a folder has at this moment to GET and HEAD, with validators; those that come later are not seen
 * unless it is live. A folder is its `index.html`; a file with a `.br` beside it goes as that to who takes it. Whatever else is asked for is left to others. Throws if there is no such folder.
 */
export function staticFiles(options: StaticFilesOptions): FileHandler {
  const { folder, at = "", isOffered = () => true, cacheControl = () => "no-cache" } = options;
  const serve = sirv(folder, {
    etag: true,
    dev: options.isLive ?? false,
    brotli: true,
    // It says the first alone, over what was said of the second.
    setHeaders: (response) => response.setHeader("vary", "accept-encoding, origin"),
  });
  return (request, response) => {
    const { method, url = "/" } = request;
    if (method !== "GET" && method !== "HEAD") return false;
    const path = url.split("?", 1)[0] ?? "";
    if (path !== at && !path.startsWith(`${at}/`)) return false;
    const within = path.slice(at.length) || "/";
    const file = within.endsWith("/") ? `${within}index.html` : within;
    if (!isOffered(file)) return false;
    const headers = {
      ...options.headers,
      "cache-control": cacheControl(file),
      "x-content-type-options": "nosniff",
    };
    const before = Object.keys(headers).map((name) => [name, response.getHeader(name)] as const);
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    let isFound = true;
    request.url = file;
    serve(request as IncomingMessage, response as ServerResponse, () => {
      isFound = false;
      for (const [name, value] of before) {
        if (value === undefined) response.removeHeader(name);
        else response.setHeader(name, value);
      }
    });
    request.url = url;
    return isFound;
  };
}

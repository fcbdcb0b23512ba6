import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { staticFiles } from "../../mesh/rest/static-files.ts";
import type { FileHandler } from "../../mesh/rpc/server/http-fallback.ts";

const VIEWER = dirname(fileURLToPath(import.meta.resolve("swagger-ui-dist/package.json")));
const DOCUMENTS = ["/openapi.json", "/asyncapi.json"];
const OF_VIEWER = ["/swagger-ui-bundle.js", "/swagger-ui.css", "/favicon-32x32.png"];

// `make gen` and `npm ci` may write them anew beside a gateway that runs: one that is gone for a moment is not there.
const isLive = true;

/** The documents of what there is, `/openapi.json` and `/asyncapi.json`, and `/docs`, which shows them to people. */
export function documents(): FileHandler[] {
  return [
    staticFiles({
      folder: join(import.meta.dirname, "../../contracts/documents"),
      isOffered: (file) => DOCUMENTS.includes(file),
      isLive,
    }),
    staticFiles({
      at: "/docs/viewer",
      folder: VIEWER,
      isOffered: (file) => OF_VIEWER.includes(file),
      isLive,
    }),
    staticFiles({ at: "/docs", folder: join(import.meta.dirname, "docs"), isLive }),
  ];
}

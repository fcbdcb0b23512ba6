import { readFileSync } from "node:fs";
import { join } from "node:path";

const manifest = readFileSync(join(import.meta.dirname, "../../package.json"), "utf8");

/** What every document says of itself. */
export const DOCUMENTS = {
  title: "Weft shop",
  version: (JSON.parse(manifest) as { version: string }).version,
};

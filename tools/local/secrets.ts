import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** A random password for each name, the same on every call with the same file. Only its owner can read the file. */
export function keptSecrets<Name extends string>(file: string, names: readonly Name[]): Record<Name, string> {
  const kept = readSecrets(file);
  const missing = names.filter((name) => kept[name] === undefined);
  if (missing.length > 0) {
    for (const name of missing) kept[name] = randomBytes(24).toString("hex");
    mkdirSync(dirname(file), { recursive: true });
    const draft = `${file}.partial`;
    writeFileSync(draft, `${JSON.stringify(kept, null, 2)}\n`, { mode: 0o600 });
    chmodSync(draft, 0o600);
    renameSync(draft, file);
  }
  return Object.fromEntries(names.map((name) => [name, kept[name]])) as Record<Name, string>;
}

function readSecrets(file: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw new Error(`cannot read ${file}: ${(error as Error).message}. Remove it, or run make reset.`, {
      cause: error,
    });
  }
}

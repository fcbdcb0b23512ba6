import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** This checkout. */
export const checkout = fileURLToPath(new URL("..", import.meta.url));

/** A copy of all that buf reads, so that a test may generate and break things without touching the work tree. */
export type ContractCopy = {
  dir: string;
  /** Changes a file. Throws if that changes nothing, because the test would then prove nothing. */
  edit(path: string, from: RegExp | string, to: string): void;
  remove(): void;
};

/** Makes a copy in a temporary folder. */
export function copyContracts(): ContractCopy {
  const dir = mkdtempSync(join(tmpdir(), "weft-contracts-"));
  for (const path of ["buf.yaml", "buf.gen.yaml", "proto", "third_party", "contracts"]) {
    if (existsSync(join(checkout, path))) cpSync(join(checkout, path), join(dir, path), { recursive: true });
  }
  // What buf starts and does not change.
  for (const path of ["node_modules", "tools"]) symlinkSync(join(checkout, path), join(dir, path), "dir");
  return {
    dir,
    edit(path, from, to) {
      const text = readFileSync(join(dir, path), "utf8");
      const edited = text.replace(from, to);
      if (edited === text)
        throw new Error(`${path} has nothing like ${from}: adapt the test to the contract.`);
      writeFileSync(join(dir, path), edited);
    },
    remove: () => rmSync(dir, { recursive: true }),
  };
}

import { readFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release, totalmem } from "node:os";
import { join } from "node:path";

/** What a benchmark ran on, for people. */
export function machine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return (
    `${platform()} ${release()} ${arch()}, ${cpus().length} x ${cpus()[0]?.model}, ${memory}, ` +
    `Node ${process.version}`
  );
}

/** The load of the last minute, which should be close to nothing before a benchmark. */
export function load(): string {
  return (loadavg()[0] ?? 0).toFixed(2);
}

/** Packages with their versions as installed for the benches, or by the repository, for people. */
export function installed(by: "bench" | "repository", ...packages: readonly string[]): string[] {
  const folder = by === "bench" ? "." : "..";
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, folder, "package-lock.json"), "utf8"));
  return packages.map((name) => `${name} ${lock.packages[`node_modules/${name}`]?.version}`);
}

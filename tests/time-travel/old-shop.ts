import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";

/** A shop that runs by the code of a release. */
export interface OldShop {
  /** Where the first instance of a service listens. */
  address(service: string): string;
  readonly natsUrl: string;
  stop(): Promise<void>;
}

/**
 * The commit of a release: the one that added its image. Undefined where git does not know it; in a shallow clone the
 * first commit that is there seems to have added everything.
 */
export function commitOf(checkout: string, image: string): string | undefined {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: checkout, encoding: "utf8", stdio: "pipe" });
  try {
    if (git("rev-parse", "--is-shallow-repository").trim() !== "false") return undefined;
    return git("log", "--diff-filter=A", "--format=%H", "--", image).trim().split("\n").at(-1) || undefined;
  } catch {
    return undefined;
  }
}

/**
 * Starts the shop as a commit has it, with the packages of today: they are at the versions of then, and more. It uses
 * these servers, and databases whose names begin with the prefix; without them it starts its own.
 */
export async function startOldShop(
  checkout: string,
  commit: string,
  its: {
    readonly databaseUrl?: string;
    readonly natsUrl?: string;
    readonly databasePrefix?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<OldShop> {
  const dir = mkdtempSync(join(tmpdir(), "weft-old-"));
  const old = join(dir, "checkout");
  mkdirSync(old);
  const archive = join(dir, "commit.tar");
  execFileSync("git", ["archive", "--output", archive, commit], { cwd: checkout });
  execFileSync("tar", ["-xf", archive, "-C", old]);
  symlinkSync(join(checkout, "node_modules"), join(old, "node_modules"), "dir");
  const options = JSON.stringify({ ...its, dataDir: join(dir, "data") });
  const child = spawn(process.execPath, [join(import.meta.dirname, "run-shop.ts"), old, options], {
    cwd: old,
    stdio: ["pipe", "pipe", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  const started = await Promise.race([
    createInterface({ input: child.stdout })[Symbol.asyncIterator]().next(),
    ended.then(() => undefined),
  ]);
  if (typeof started?.value !== "string") {
    remove();
    throw new Error(`the shop of ${commit} in ${basename(dir)} did not start: ${errors}`);
  }
  const { places, natsUrl }: { places: { service: string; port: number }[]; natsUrl: string } = JSON.parse(
    started.value,
  );
  return {
    natsUrl,
    address: (service) => `127.0.0.1:${places.find((each) => each.service === service)?.port}`,
    async stop() {
      child.stdin.end();
      await ended;
      remove();
    },
  };
}

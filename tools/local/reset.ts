import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stopLeftOverNats } from "./nats-server.ts";
import type { Log } from "./own-server.ts";
import { resetPostgres } from "./postgres.ts";
import { postgresHome } from "./postgres-home.ts";
import { runningPid } from "./run-lock.ts";

const OURS = [
  ...["run.pid", "secrets.json", "operator-token.json", "service-keys"],
  ...["logs", "nats", "compile-cache", "mails.jsonl", "mails.jsonl.old"],
];

/** Forgets all that a system keeps in its data folder and its own PostgreSQL. Throws while the system runs. */
export async function resetSystem(dataDir: string, log: Log): Promise<void> {
  const pid = runningPid(join(dataDir, "run.pid"));
  if (pid !== undefined) {
    throw new Error(
      `The system runs (process ${pid}), and would lose its data under its feet. Stop it first: kill ${pid}`,
    );
  }
  if (!existsSync(dataDir)) return;
  await stopLeftOverNats(join(dataDir, "nats"), log);
  await resetPostgres(postgresHome(dataDir), log);
  for (const entry of OURS) rmSync(join(dataDir, entry), { recursive: true, force: true });
  // Whatever else lies there is not ours to remove.
  if (readdirSync(dataDir).length === 0) rmdirSync(dataDir);
}

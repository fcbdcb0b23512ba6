import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Log } from "../core/log.ts";
import type { Sql } from "./connect.ts";
import { transaction } from "./transaction.ts";

/** A folder of migrations `0001_name.sql`, `0002_name.sql`, ... that go forward only. */
export interface Migrations {
  /** Whose tables these are, such as `order`, or `mesh/events`. */
  readonly set: string;
  readonly folder: URL;
}

interface Migration {
  readonly version: number;
  readonly file: string;
  readonly sql: string;
  readonly checksum: string;
}

/**
 * Brings the database up to date: each migration once, in order, all in one transaction, one process at a time. Throws
 * if a migration that has run was changed or is gone, or if the numbers have a gap: then nothing is done.
 */
export async function migrate(sql: Sql, sets: readonly Migrations[], log: Log): Promise<void> {
  await transaction(sql, async (tx) => {
    await tx`SELECT pg_advisory_xact_lock(hashtext('weft-migrate'))`;
    await tx`
      CREATE TABLE IF NOT EXISTS migration (
        set text, version int, file text NOT NULL, checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (set, version))`;
    for (const { set, folder } of sets) {
      const applied = await tx<{ version: number; file: string; checksum: string }[]>`
        SELECT version, file, checksum FROM migration WHERE set = ${set} ORDER BY version`;
      for (const migration of pending(set, await read(folder), applied)) {
        await tx.unsafe(migration.sql);
        await tx`
          INSERT INTO migration (set, version, file, checksum)
          VALUES (${set}, ${migration.version}, ${migration.file}, ${migration.checksum})`;
        log.info({ set, file: migration.file }, "migrated");
      }
    }
  });
}

async function read(folder: URL): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(join(fileURLToPath(folder), file), "utf8");
      const checksum = createHash("sha256").update(sql).digest("hex");
      return { version: Number(/^(\d{4})_/.exec(file)?.[1]), file, sql, checksum };
    }),
  );
}

/** The migrations that have not run yet. */
export function pending(
  set: string,
  migrations: readonly Migration[],
  applied: readonly { version: number; file: string; checksum: string }[],
): readonly Migration[] {
  migrations.forEach(({ version, file }, i) => {
    if (version !== i + 1)
      throw new Error(`${set}/${file}: the migration after ${i} must be number ${i + 1}`);
  });
  for (const { version, file, checksum } of applied) {
    const migration = migrations[version - 1];
    if (!migration)
      throw new Error(`${set}/${file} has run on this database but is gone: start a newer version`);
    if (migration.checksum !== checksum) {
      throw new Error(
        `${set}/${migration.file} was changed after it had run: put it back, and add a new migration`,
      );
    }
  }
  return migrations.slice(applied.length);
}

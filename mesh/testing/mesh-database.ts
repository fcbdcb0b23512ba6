import { silentLog } from "../core/log.ts";
import { connect, type Sql } from "../store/connect.ts";
import { migrate } from "../store/migrate.ts";
import { atEnd } from "./at-end.ts";
import { type TestDatabase, testDatabase } from "./database.ts";

/** A database of its own, with the mesh's tables. */
export interface MeshDatabase extends TestDatabase {
  readonly sql: Sql;
}

/** Makes a database with the mesh's tables, and a way into it. */
export async function meshDatabase(maxConnections = 8): Promise<MeshDatabase> {
  const database = await testDatabase();
  const sql = connect({ url: database.url, name: "test", maxConnections });
  atEnd(() => sql.end({ timeout: 1 }));
  const set = (room: string) => ({
    set: `mesh/${room}`,
    folder: new URL(`../${room}/migrations/`, import.meta.url),
  });
  await migrate(sql, [set("store"), set("events")], silentLog);
  return { ...database, sql };
}

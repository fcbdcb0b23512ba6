import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../mesh/core/log.ts";
import { type Nats, openNats } from "../../mesh/nats/connection.ts";
import { connect, type Sql } from "../../mesh/store/connect.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { provision } from "../../mesh/store/provision.ts";
import { startNats } from "../../tools/local/nats-server.ts";
import { freePort } from "../../tools/local/ports.ts";
import { startPostgres } from "../../tools/local/postgres.ts";

/** How often the broker writes to its disk before it acknowledges: now and then, or each time. */
export type Sync = "default" | "always";

/** What a measurement is made on: an empty database with the mesh's tables, and a broker. */
export interface Place extends AsyncDisposable {
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly nats: Nats;
  readonly natsUrl: string;
}

/** Opens places for measurements. */
export interface Places extends AsyncDisposable {
  open(sync: Sync): Promise<Place>;
}

// As many as the widest measurement has side by side, and some for the relay.
const CONNECTIONS = 24;

/** Starts PostgreSQL, which writes to its disk before it acknowledges, and the two brokers. */
export async function openPlaces(natsServer: string): Promise<Places> {
  await using undo = new AsyncDisposableStack();
  const dir = mkdtempSync(join(realpathSync(tmpdir()), "weft-bench-"));
  undo.defer(() => rmSync(dir, { recursive: true, force: true }));
  // PostgreSQL may have to run as another user than we.
  chmodSync(dir, 0o755);
  const log = () => {};
  const postgres = await startPostgres({ homeDir: join(dir, "postgres"), port: await freePort(), log });
  undo.defer(() => postgres.stop());
  const configFile = join(dir, "always.conf");
  writeFileSync(configFile, "jetstream { sync_interval: always }\n");
  const start = async (sync: Sync) => {
    const server = await startNats({
      binary: natsServer,
      dataDir: join(dir, `nats-${sync}`),
      port: await freePort(),
      log,
      ...(sync === "always" ? { configFile } : {}),
    });
    undo.defer(() => server.stop());
    return server;
  };
  const brokers = { default: await start("default"), always: await start("always") };
  const owned = undo.move();
  return {
    async open(sync) {
      const name = `bench_${randomBytes(6).toString("hex")}`;
      const databaseUrl = await provision(postgres.url, { name, password: randomBytes(12).toString("hex") });
      const sql = connect({ url: databaseUrl, name: "bench", maxConnections: CONNECTIONS });
      const set = (room: string) => ({
        set: `mesh/${room}`,
        folder: new URL(`../../mesh/${room}/migrations/`, import.meta.url),
      });
      await migrate(sql, [set("store"), set("events")], silentLog);
      const natsUrl = brokers[sync].url;
      const nats = openNats({ url: natsUrl, name: "bench", log: silentLog });
      return {
        sql,
        databaseUrl,
        nats,
        natsUrl,
        async [Symbol.asyncDispose]() {
          await nats.close();
          await sql.end({ timeout: 1 });
        },
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

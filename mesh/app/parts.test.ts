import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect as dial } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, inject, test } from "vitest";
import { freePort } from "../../tools/local/ports.ts";
import { readConfig } from "../core/config.ts";
import { connect } from "../store/connect.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { testDatabase } from "../testing/database.ts";
import { until } from "../testing/until.ts";
import { openParts, type Parts } from "./parts.ts";
import { portSetting, serviceSettings } from "./settings.ts";

const HOST = "127.0.0.1";
const { url: natsUrl } = await testBroker();

/** A folder with one migration. */
function migrations(sql: string): URL {
  const folder = mkdtempSync(join(inject("testDir"), "parts-"));
  atEnd(async () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "0001_toy.sql"), sql);
  return pathToFileURL(`${folder}/`);
}

async function open(databaseUrl: string, folder: URL): Promise<Parts> {
  const config = readConfig(
    { ...serviceSettings, port: portSetting(0) },
    {
      HOST,
      PORT: "0",
      INSTANCE: "parts",
      DATABASE_URL: databaseUrl,
      NATS_URL: natsUrl,
      LOG_LEVEL: "error",
      MESH_AUTH: "off",
    },
  );
  const parts = await openParts("toy", config, folder);
  atEnd(async () => {
    await parts.nats.close();
    await parts.sql.end({ timeout: 1 });
  });
  return parts;
}

test("parts come with a database that is up to date, the mesh's tables first", async () => {
  const { url } = await testDatabase();
  const { sql, nats } = await open(url, migrations("CREATE TABLE toy AS SELECT * FROM outbox"));
  const sets = await sql`SELECT set FROM migration GROUP BY set ORDER BY min(applied_at)`;
  expect(sets.map(({ set }) => set)).toEqual(["mesh/store", "mesh/events", "toy"]);
  expect(await sql`SELECT 1 FROM toy`).toHaveLength(0);
  const online = await nats.online(AbortSignal.timeout(20_000));
  await online.connection.flush();
});

test("a database that is away is waited for", async () => {
  const { url } = await testDatabase();
  const real = new URL(url);
  const port = await freePort();
  const away = new URL(url);
  away.port = String(port);
  const opening = open(away.href, migrations("CREATE TABLE toy (id int)"));
  const asked = new Promise<void>((resolve) => {
    const server = createServer((client) => {
      resolve();
      const upstream = dial(Number(real.port), HOST);
      client.on("error", () => upstream.destroy());
      upstream.on("error", () => client.destroy());
      client.pipe(upstream).pipe(client);
    });
    server.listen(port, HOST);
    atEnd(async () => void server.close());
  });
  await asked;
  const { sql } = await opening;
  expect(await sql`SELECT 1 FROM toy`).toHaveLength(0);
});

test("a migration that fails is no part that is away: the start fails, and leaves no connection", async () => {
  const { url } = await testDatabase();
  await expect(open(url, migrations("SELECT nonsense"))).rejects.toThrow("nonsense");
  const sql = connect({ url, name: "test", maxConnections: 1 });
  atEnd(() => sql.end({ timeout: 1 }));
  await until(async () => {
    const rows =
      await sql`SELECT 1 FROM pg_stat_activity WHERE application_name = 'parts' AND datname = current_database()`;
    return rows.length === 0;
  });
});

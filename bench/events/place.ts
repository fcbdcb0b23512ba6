import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { silentLog } from "../../mesh/core/log.ts";
import { type Nats, openNats } from "../../mesh/nats/connection.ts";
import { connect, type Sql } from "../../mesh/store/connect.ts";
import { migrate } from "../../mesh/store/migrate.ts";
import { provision } from "../../mesh/store/provision.ts";
import { startNats } from "../../tools/local/nats-server.ts";
import { freePort } from "../../tools/local/ports.ts";
import { startPostgres } from "../../tools/local/postgres.ts";

/**
 * The broker: one node that writes to its disk now and then, one that does so before it acknowledges, or three of the
 * latter, each of which keeps every stream.
 */
export type Profile = "default" | "always" | "cluster";

/** What a measurement is made on: an empty database with the mesh's tables, and a broker without streams. */
export interface Place extends AsyncDisposable {
  readonly sql: Sql;
  readonly databaseUrl: string;
  readonly nats: Nats;
  /** A server, or several with commas between them. */
  readonly natsUrl: string;
  /** How many nodes keep a stream. */
  readonly replicas: number;
}

/** Opens places for measurements. */
export interface Places extends AsyncDisposable {
  /** The brokers of a profile are started when they are wanted first. */
  open(profile: Profile): Promise<Place>;
}

// As many as the widest measurement has side by side, and some for the relay.
const CONNECTIONS = 24;
const NODES: Readonly<Record<Profile, number>> = { default: 1, always: 1, cluster: 3 };
const ELECTION_POLL_MS = 100;
const never = new AbortController().signal;

/** Starts PostgreSQL, which writes to its disk before it acknowledges. */
export async function openPlaces(natsServer: string): Promise<Places> {
  await using undo = new AsyncDisposableStack();
  const dir = mkdtempSync(join(realpathSync(tmpdir()), "weft-bench-"));
  undo.defer(() => rmSync(dir, { recursive: true, force: true }));
  // PostgreSQL may have to run as another user than we.
  chmodSync(dir, 0o755);
  const log = () => {};
  const postgres = await startPostgres({ homeDir: join(dir, "postgres"), port: await freePort(), log });
  undo.defer(() => postgres.stop());
  const owned = undo.move();

  /** Resolves with the brokers' URL. */
  async function start(profile: Profile): Promise<string> {
    const nodes = Array.from({ length: NODES[profile] }, (_, at) => `${profile}-${at + 1}`);
    const routes = await Promise.all(nodes.map(async () => `127.0.0.1:${await freePort()}`));
    const servers = await Promise.all(
      nodes.map(async (name, at) => {
        const configFile = join(dir, `${name}.conf`);
        writeFileSync(configFile, settingsOf(profile, routes, at));
        const [dataDir, port] = [join(dir, name), await freePort()];
        const server = await startNats({ binary: natsServer, dataDir, port, name, configFile, log });
        owned.defer(() => server.stop());
        return server;
      }),
    );
    return servers.map(({ url }) => url).join();
  }

  const brokers = new Map<Profile, Promise<string>>();
  return {
    async open(profile) {
      const broker = brokers.get(profile) ?? start(profile);
      brokers.set(profile, broker);
      const natsUrl = await broker;
      const name = `bench_${randomBytes(6).toString("hex")}`;
      const databaseUrl = await provision(postgres.url, { name, password: randomBytes(12).toString("hex") });
      const sql = connect({ url: databaseUrl, name: "bench", maxConnections: CONNECTIONS });
      const set = (room: string) => ({
        set: `mesh/${room}`,
        folder: new URL(`../../mesh/${room}/migrations/`, import.meta.url),
      });
      await migrate(sql, [set("store"), set("events")], silentLog);
      const nats = openNats({ url: natsUrl, name: "bench", log: silentLog });
      const manager = await ready(nats);
      return {
        sql,
        databaseUrl,
        nats,
        natsUrl,
        replicas: NODES[profile],
        async [Symbol.asyncDispose]() {
          for await (const stream of manager.streams.names()) await manager.streams.delete(stream);
          await nats.close();
          await sql.end({ timeout: 1 });
        },
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function settingsOf(profile: Profile, routes: readonly string[], at: number): string {
  const store = profile === "default" ? "" : "jetstream { sync_interval: always }\n";
  if (routes.length === 1) return store;
  const all = routes.map((route) => `"nats-route://${route}"`).join(", ");
  return `${store}cluster { name: bench, listen: "${routes[at]}", routes: [${all}] }\n`;
}

/** Waits until the broker answers: a cluster elects a leader first. */
async function ready(nats: Nats): Promise<JetStreamManager> {
  const { connection } = await nats.online(never);
  const manager = await jetstreamManager(connection, { checkAPI: false });
  for (;;) {
    const answers = await manager.getAccountInfo().then(
      () => true,
      () => false,
    );
    if (answers) return manager;
    await new Promise((resolve) => setTimeout(resolve, ELECTION_POLL_MS));
  }
}

import { join } from "node:path";
import { findNatsServer, startNats, stopLeftOverNats } from "./nats-server.ts";
import type { Log, OwnServer } from "./own-server.ts";
import type { PortUse } from "./ports.ts";
import { startPostgres, stopLeftOverPostgres } from "./postgres.ts";
import { postgresHome } from "./postgres-home.ts";

export interface ServersOptions {
  /** A PostgreSQL that runs already. Without it we start our own. */
  readonly databaseUrl: string | undefined;
  /** A NATS server that runs already. Without it we start our own. */
  readonly natsUrl: string | undefined;
  readonly ports: { readonly postgres: number; readonly nats: number };
  readonly dataDir: string;
  readonly toolsDir: string;
  readonly log: Log;
  readonly signal?: AbortSignal;
}

/** The two servers below the shop. */
export interface Servers {
  readonly databaseUrl: string;
  readonly natsUrl: string;
  /** Undefined if it is not ours. */
  readonly postgres: OwnServer | undefined;
  /** Undefined if it is not ours. */
  readonly nats: OwnServer | undefined;
}

/** The ports that our own servers need, free of what an earlier, killed run has left behind. */
export async function claimServerPorts(options: ServersOptions): Promise<PortUse[]> {
  const uses: PortUse[] = [];
  if (options.databaseUrl === undefined) {
    await stopLeftOverPostgres(postgresHome(options.dataDir), options.log);
    uses.push({
      port: options.ports.postgres,
      for: "PostgreSQL",
      orElse: "set DATABASE_URL to use a server of your own",
    });
  }
  if (options.natsUrl === undefined) {
    await stopLeftOverNats(natsDir(options), options.log);
    uses.push({ port: options.ports.nats, for: "NATS", orElse: "set NATS_URL to use a server of your own" });
  }
  return uses;
}

/** Starts, side by side, those of the two that no URL was given for. If one fails, the other is stopped. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const started = await Promise.allSettled([
    options.databaseUrl === undefined ? startOwnPostgres(options) : undefined,
    options.natsUrl === undefined ? startOwnNats(options) : undefined,
  ]);
  const failed = started.find((outcome) => outcome.status === "rejected");
  const [postgres, nats] = started.map((outcome) =>
    outcome.status === "fulfilled" ? outcome.value : undefined,
  );
  const servers = {
    databaseUrl: options.databaseUrl ?? postgres?.url ?? "",
    natsUrl: options.natsUrl ?? nats?.url ?? "",
    postgres,
    nats,
  };
  if (failed) {
    await stopServers(servers);
    throw failed.reason;
  }
  return servers;
}

/** Stops those of the two that are ours. */
export async function stopServers({ postgres, nats }: Servers): Promise<void> {
  await Promise.all([postgres?.stop(), nats?.stop()]);
}

async function startOwnPostgres(options: ServersOptions): Promise<OwnServer> {
  const homeDir = postgresHome(options.dataDir);
  const server = await startPostgres({ ...options, homeDir, port: options.ports.postgres });
  options.log(`PostgreSQL runs on 127.0.0.1:${options.ports.postgres}, its data in ${homeDir}`);
  return server;
}

async function startOwnNats(options: ServersOptions): Promise<OwnServer> {
  const binary = await findNatsServer(options);
  const server = await startNats({ ...options, binary, dataDir: natsDir(options), port: options.ports.nats });
  options.log(`NATS runs on 127.0.0.1:${options.ports.nats}, its data in ${natsDir(options)}`);
  return server;
}

function natsDir({ dataDir }: { readonly dataDir: string }): string {
  return join(dataDir, "nats");
}

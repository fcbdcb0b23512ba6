import type { DescMessage, DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { streamContract } from "../contract/event.ts";
import type { Running } from "../core/process.ts";
import { consume } from "../events/consume.ts";
import type { EventHandler } from "../events/handlers.ts";
import { pruneInbox, pruneOutbox } from "../events/prune.ts";
import { startRelay } from "../events/relay.ts";
import { runSagas, type Saga } from "../events/saga.ts";
import { DEAD_LETTERS, eventStream } from "../events/streams.ts";
import type { HttpHandler } from "../rpc/http-fallback.ts";
import { startServer } from "../rpc/server.ts";
import { keepHouse, type Prune } from "../store/housekeeping.ts";
import { pruneOnce } from "../store/once.ts";
import type { Parts } from "./parts.ts";

/** What a service does with its parts. */
export interface Duties {
  /** The service of the contract. */
  readonly contract: DescService;
  readonly routes: (router: ConnectRouter) => void;
  /** Pages beside the RPCs. */
  readonly http?: HttpHandler;
  /** One of the events that it publishes, which names their stream. */
  readonly publishes?: DescMessage;
  /** What it does about others' events, by subscription. */
  readonly handles?: Readonly<Record<string, readonly EventHandler[]>>;
  readonly sagas?: readonly Saga<string>[];
  /** What is deleted from its own tables in time. */
  readonly prunes?: readonly Prune[];
  /** The ways to other services, let go of at the end. */
  readonly targets?: readonly { close(): void }[];
}

/** A service that runs. */
export interface App extends Running {
  readonly port: number;
}

const STOP_CALLS_WITHIN_MS = 4_000;

/** Starts all that a service does, and ends it in the order in which nothing is cut off. Rejects if it cannot start. */
export async function serve(parts: Parts, duties: Duties): Promise<App> {
  const { sql, nats, log, databaseUrl } = parts;
  const { contract, publishes, handles = {}, sagas = [], prunes = [], targets = [] } = duties;

  const server = await startServer({
    host: parts.host,
    port: parts.port,
    services: [contract],
    routes: duties.routes,
    ...(duties.http && { http: duties.http }),
    log,
  }).catch(async (error) => {
    await closeParts();
    throw error;
  });
  const streams = [...(publishes ? [eventStream(streamContract(publishes))] : []), DEAD_LETTERS];
  const relays = streams.map((stream) => startRelay({ sql, databaseUrl, nats, stream, log }));
  const consumers = Object.entries(handles).map(([subscription, handlers]) =>
    consume({ sql, nats, service: contract, subscription, handlers, log }),
  );
  const runners = sagas.map((saga) => runSagas({ sql, saga, log }));
  const housekeeping = keepHouse(sql, [pruneOutbox, pruneInbox, pruneOnce, ...prunes], log);
  log.info({ port: server.port }, "ready");

  async function closeParts(): Promise<void> {
    for (const target of targets) target.close();
    await nats.close();
    await sql.end({ timeout: 1 });
  }

  return {
    port: server.port,
    async stop() {
      // First what begins work, last what carries its results away.
      await Promise.all([
        server.stop(STOP_CALLS_WITHIN_MS),
        ...[...consumers, ...runners].map((r) => r.stop()),
      ]);
      await Promise.all([...relays, housekeeping].map((r) => r.stop()));
      await closeParts();
    },
  };
}

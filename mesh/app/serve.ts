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

  const workers: Running[] = [];
  const carriers: Running[] = [];

  async function stop(): Promise<void> {
    // First what begins work, last what carries its results away.
    await Promise.all(workers.map((worker) => worker.stop()));
    await Promise.all(carriers.map((carrier) => carrier.stop()));
    for (const target of targets) target.close();
    await nats.close();
    await sql.end({ timeout: 1 });
  }

  try {
    const server = await startServer({
      host: parts.host,
      port: parts.port,
      services: [contract],
      routes: duties.routes,
      ...(duties.http && { http: duties.http }),
      log,
    });
    workers.push({ stop: () => server.stop(STOP_CALLS_WITHIN_MS) });
    const streams = [...(publishes ? [eventStream(streamContract(publishes))] : []), DEAD_LETTERS];
    for (const stream of streams) carriers.push(startRelay({ sql, databaseUrl, nats, stream, log }));
    for (const [subscription, handlers] of Object.entries(handles)) {
      workers.push(consume({ sql, nats, service: contract, subscription, handlers, log }));
    }
    for (const saga of sagas) workers.push(runSagas({ sql, saga, log }));
    carriers.push(keepHouse(sql, [...streams.map(pruneOutbox), pruneInbox, pruneOnce, ...prunes], log));
    log.info({ port: server.port }, "ready");
    return { port: server.port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

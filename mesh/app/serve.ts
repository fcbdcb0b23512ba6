import type { DescMessage, DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { AdminService } from "../../gen/mesh/admin/v1/admin_service_pb.ts";
import { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { streamContract } from "../contract/event.ts";
import { assertEvents } from "../contract/event-problems.ts";
import type { Running } from "../core/process.ts";
import { consume } from "../events/consume.ts";
import type { EventHandler } from "../events/handlers.ts";
import { pruneInbox, pruneOutbox } from "../events/prune.ts";
import { sourceOf } from "../events/publish.ts";
import { type Relay, startRelay } from "../events/relay.ts";
import { runSagas, type Saga } from "../events/saga.ts";
import { DEAD_LETTERS, eventStream, type StreamPlan } from "../events/streams.ts";
import type { OpenTarget } from "../rpc/client/client.ts";
import { faultsOnDemand } from "../rpc/server/faults.ts";
import type { HttpHandler } from "../rpc/server/http-fallback.ts";
import { operatorsBy } from "../rpc/server/operators.ts";
import { type MeshServer, startServer } from "../rpc/server/server.ts";
import { keepHouse, type Prune } from "../store/housekeeping.ts";
import { pruneOnce } from "../store/once.ts";
import { refusalTelemetry, serverTelemetry } from "../telemetry/server-telemetry.ts";
import { adminService } from "./admin.ts";
import { measureOutbox } from "./measure-outbox.ts";
import { measureServer, refusalCounts } from "./measure-server.ts";
import { metricsPage } from "./metrics-page.ts";
import { outboxAdminService } from "./outbox-admin.ts";
import type { Parts } from "./parts.ts";
import { followPolicyFile } from "./policy-file.ts";
import { registerInstance } from "./register-instance.ts";

/** What a service does with its parts. */
export interface Duties {
  /** The service of the contract. */
  readonly contract: DescService;
  /** Services that it offers beside that one. */
  readonly offers?: readonly DescService[];
  readonly routes: (router: ConnectRouter) => void;
  /** Pages beside the RPCs. */
  readonly http?: HttpHandler;
  /** One of the events that it publishes, which names their stream. */
  readonly publishes?: DescMessage;
  /** The commands that it sends, to others or to itself. */
  readonly sends?: readonly DescMessage[];
  /** What it does about others' events, by subscription. */
  readonly handles?: Readonly<Record<string, readonly EventHandler[]>>;
  readonly sagas?: readonly Saga<string>[];
  /** What is deleted from its own tables in time. */
  readonly prunes?: readonly Prune[];
  /** The ways to other services, let go of at the end. */
  readonly targets?: readonly OpenTarget[];
}

/** A service that runs. */
export interface App extends Running {
  readonly port: number;
}

const STOP_CALLS_WITHIN_MS = 4_000;

/** Starts all that a service does, and ends it in the order in which nothing is cut off. Rejects if it cannot start. */
export async function serve(parts: Parts, duties: Duties): Promise<App> {
  const { service, sql, nats, log, databaseUrl, config, telemetry, policies } = parts;
  const {
    contract,
    publishes,
    offers = [],
    sends = [],
    handles = {},
    sagas = [],
    prunes = [],
    targets = [],
  } = duties;

  const operators = operatorsBy(config.operatorToken);
  const faults = faultsOnDemand({ settings: config.faults, isOperator: operators.isOperator });
  let server: MeshServer | undefined;
  let registration: Running | undefined;
  const workers: Running[] = [];
  const carriers: Running[] = [];
  const relays = new Map<string, Relay>();

  async function stop(): Promise<void> {
    // Before all else, so that nobody who looks us up finds an instance that stops.
    await registration?.stop();
    // First what begins work, last what carries its results away.
    await Promise.all(workers.map((worker) => worker.stop()));
    await Promise.all(carriers.map((carrier) => carrier.stop()));
    for (const target of targets) target.close();
    await nats.close();
    await sql.end({ timeout: 1 });
    await telemetry.close();
  }

  try {
    assertEvents([contract, ...messagesOf(duties)].map(({ file }) => file));
    const services = [contract, ...targets.flatMap((target) => target.service ?? [])];
    const onChange = () => {
      for (const target of targets) target.reload();
    };
    carriers.push(followPolicyFile({ file: config.policyFile, policies, services, log, onChange }));
    const { instance } = config;
    const admin = { service, instance, server: () => server, targets, faults, operators };
    server = await startServer({
      host: config.host,
      port: config.port,
      services: [contract, ...offers, AdminService, OutboxAdminService],
      routes(router) {
        duties.routes(router);
        router.service(AdminService, adminService(admin));
        router.service(OutboxAdminService, outboxAdminService({ instance, sql, relays, operators, log }));
      },
      http: (request) => metricsPage(telemetry, request) ?? duties.http?.(request),
      telemetry: serverTelemetry(telemetry),
      onEarlyRefusal: refusalTelemetry(telemetry),
      ...refusalCounts(telemetry),
      sampler: telemetry.sampler,
      faults: faults.interceptor,
      connectionAge: { maxConnectionAgeMs: config.maxConnectionAgeMs },
      policies,
      log,
    });
    const { port } = server;
    workers.push({ stop: () => server?.stop(STOP_CALLS_WITHIN_MS) ?? Promise.resolve() });
    measureServer(telemetry, server);
    const streams = [...streamsOf([...(publishes ? [publishes] : []), ...sends]), DEAD_LETTERS];
    const { startSpan } = telemetry;
    const source = sourceOf(contract.typeName, service);
    for (const stream of streams) {
      const relay = startRelay({ sql, databaseUrl, nats, stream, source, log, meter: telemetry, startSpan });
      carriers.push(relay);
      relays.set(stream.name, relay);
    }
    carriers.push(measureOutbox({ sql, streams: [...relays.keys()], telemetry, log }));
    for (const [subscription, handlers] of Object.entries(handles)) {
      const meter = telemetry.isOn ? { meter: telemetry } : {};
      const told = { instance, log, startSpan, ...meter };
      workers.push(consume({ sql, nats, service: contract, subscription, handlers, ...told }));
    }
    for (const saga of sagas) workers.push(runSagas({ sql, saga, log }));
    carriers.push(keepHouse(sql, [...streams.map(pruneOutbox), pruneInbox, pruneOnce, ...prunes], log));
    registration = registerInstance(parts, port);
    log.info({ port }, "ready");
    return { port, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** All that the service publishes, sends and handles. */
function messagesOf({ publishes, sends = [], handles = {} }: Duties): DescMessage[] {
  const handled = Object.values(handles).flatMap((each) => each.flatMap(({ schema }) => schema ?? []));
  return [...(publishes ? [publishes] : []), ...sends, ...handled];
}

/** The streams that these messages go to, each once. */
function streamsOf(messages: readonly DescMessage[]): StreamPlan[] {
  const plans = messages.map((message) => eventStream(streamContract(message)));
  return [...new Map(plans.map((plan) => [plan.name, plan])).values()];
}

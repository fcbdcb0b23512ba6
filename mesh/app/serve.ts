import { type DescMessage, type DescService, getOption } from "@bufbuild/protobuf";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { DeadLetterService } from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { subscriptions } from "../../gen/mesh/event/v1/event_pb.ts";
import { eventContract, maySend, streamContract } from "../contract/event.ts";
import { assertEvents } from "../contract/event-problems.ts";
import type { Lasting, Running } from "../core/process.ts";
import { type ConsumeOptions, consume } from "../events/consume.ts";
import type { EventHandler } from "../events/handlers.ts";
import { pruneInbox, pruneOutbox } from "../events/prune.ts";
import { sourceOf } from "../events/publish.ts";
import { followReadModel, type KeySnapshot, type ReadModel } from "../events/read-model.ts";
import { type Relay, startRelay } from "../events/relay.ts";
import { runSagas, type Saga } from "../events/saga.ts";
import { DEAD_LETTERS, eventStream, type StreamPlan } from "../events/streams.ts";
import type { OpenTarget } from "../rpc/client/client.ts";
import type { HttpHandler } from "../rpc/server/http-fallback.ts";
import { operatorsBy } from "../rpc/server/operators.ts";
import type { MeshServer } from "../rpc/server/server.ts";
import { keepHouse, type Prune } from "../store/housekeeping.ts";
import { pruneOnce } from "../store/once.ts";
import { keepShared } from "./keep-shared.ts";
import { measureOutbox } from "./measure-outbox.ts";
import { measureSagas } from "./measure-sagas.ts";
import { openServer } from "./open-server.ts";
import { outboxAdminService } from "./outbox-admin.ts";
import { ownersOf } from "./owners.ts";
import type { Parts } from "./parts.ts";
import { followPolicyFile } from "./policy-file.ts";
import { registerInstance } from "./register-instance.ts";

/** What is done about the events of a subscription: by its handlers, one by one, or in batches. */
export type Handling = readonly EventHandler[] | Pick<ConsumeOptions, "handlers" | "batch">;

/** What a service does with its parts. */
export interface Duties {
  /** The service of the contract. */
  readonly contract: DescService;
  /** Services that it offers beside that one. Who offers DeadLetterService also keeps the streams that all services share. */
  readonly offers?: readonly DescService[];
  readonly routes: (router: ConnectRouter) => void;
  /** Pages beside the RPCs. */
  readonly http?: HttpHandler;
  /** One of the events that it publishes, which names their stream. Its contract must say that they are this service's. */
  readonly publishes?: DescMessage;
  /** The commands that it sends, to others or to itself. */
  readonly sends?: readonly DescMessage[];
  /** What it does about others' events, by subscription: here or in `readModels` is each that its contract has. */
  readonly handles?: Readonly<Record<string, Handling>>;
  /** What can be built anew of others' events, by the subscription that feeds it. */
  readonly readModels?: Readonly<Record<string, OwnedReadModel>>;
  readonly sagas?: readonly Saga<string>[];
  /** What else it measures, from its start to its end. */
  readonly measures?: readonly (() => Running)[];
  /** What is deleted from its own tables in time. */
  readonly prunes?: readonly Prune[];
  /** The ways to other services, let go of at the end. */
  readonly targets?: readonly OpenTarget[];
}

/** A read model of events that another service owns. */
export interface OwnedReadModel extends Omit<ReadModel, "snapshot"> {
  /** The service that owns the events. */
  readonly owner: string;
  /** Asks the owner, on the way to it, what it knows of every key. */
  snapshot(way: Transport, signal: AbortSignal): AsyncIterable<KeySnapshot>;
}

/** A service that runs. */
export interface App extends Lasting {
  readonly port: number;
  leave(): Promise<void>;
}

/** Starts all that a service does, and ends it in the order in which nothing is cut off. Rejects if it cannot start. */
export async function serve(parts: Parts, duties: Duties): Promise<App> {
  const { service, sql, nats, log, databaseUrl, config, telemetry, policies } = parts;
  const {
    contract,
    publishes,
    offers = [],
    sends = [],
    handles = {},
    readModels = {},
    sagas = [],
    measures = [],
    prunes = [],
    targets = [],
  } = duties;

  const { finishWithinMs } = config;
  const operators = operatorsBy(config.operatorToken, parts.auth.isEnforced);
  let server: MeshServer | undefined;
  let registration: Running | undefined;
  const workers: Running[] = [];
  const carriers: Running[] = [];
  const relays = new Map<string, Relay>();
  const owners = ownersOf(parts);

  async function leave(): Promise<void> {
    await registration?.stop();
    await server?.leave(config.drainDelayMs);
  }

  async function stop(): Promise<void> {
    // Before all else, so that nobody who looks us up finds an instance that stops.
    await registration?.stop();
    // First what begins work, last what carries its results away.
    await Promise.all(workers.map((worker) => worker.stop()));
    await Promise.all(carriers.map((carrier) => carrier.stop()));
    for (const target of targets) target.close();
    owners.close();
    await nats.close();
    await sql.end({ timeout: 1 });
    await telemetry.close();
  }

  try {
    assertEvents([contract, ...messagesOf(duties)].map(({ file }) => file));
    assertSender(service, duties);
    assertSubscribed(duties);
    const services = [contract, ...offers, ...targets.flatMap((target) => target.service ?? [])];
    const onChange = () => {
      for (const target of targets) target.reload();
    };
    carriers.push(followPolicyFile({ file: config.policyFile, policies, services, log, onChange }));
    const { instance } = config;
    server = await openServer(parts, {
      services: [contract, ...offers, OutboxAdminService],
      routes(router) {
        duties.routes(router);
        router.service(OutboxAdminService, outboxAdminService({ instance, sql, relays, operators, log }));
      },
      ...(duties.http && { http: duties.http }),
      targets,
      operators,
    });
    const { port } = server;
    workers.push({ stop: () => server?.stop(finishWithinMs) ?? Promise.resolve() });
    const streams = [...streamsOf([...(publishes ? [publishes] : []), ...sends]), DEAD_LETTERS];
    const { startSpan } = telemetry;
    const source = sourceOf(contract.typeName, service);
    for (const stream of streams) {
      const relay = startRelay({ sql, databaseUrl, nats, stream, source, log, meter: telemetry, startSpan });
      carriers.push(relay);
      relays.set(stream.name, relay);
    }
    if (offers.includes(DeadLetterService)) carriers.push(keepShared({ nats, log }));
    carriers.push(measureOutbox({ sql, streams: [...relays.keys()], telemetry, log }));
    const meter = telemetry.isOn ? { meter: telemetry } : {};
    const follow = (
      subscription: string,
      { handlers, ...more }: Pick<ConsumeOptions, "handlers" | "batch" | "build" | "begins">,
    ) => {
      const resend = owners.askFor(handlers);
      const told = { instance, finishWithinMs, log, startSpan, ...meter, ...(resend && { resend }) };
      return consume({ sql, nats, service: contract, subscription, handlers, ...told, ...more });
    };
    for (const [subscription, handling] of Object.entries(handles))
      workers.push(follow(subscription, inFull(handling)));
    for (const [subscription, { owner, ...model }] of Object.entries(readModels)) {
      const snapshot = (signal: AbortSignal) => model.snapshot(owners.wayTo(owner), signal);
      workers.push(
        followReadModel({
          sql,
          nats,
          service: contract,
          subscription,
          model: { ...model, snapshot },
          consume: (build, handlers, begins) => follow(subscription, { handlers, build, begins }),
          log,
        }),
      );
    }
    for (const saga of sagas) {
      workers.push(runSagas({ sql, saga, finishWithinMs, log, ...meter }));
      if (telemetry.isOn) carriers.push(measureSagas({ sql, saga, meter: telemetry, log }));
    }
    carriers.push(...measures.map((begin) => begin()));
    carriers.push(keepHouse(sql, [...streams.map(pruneOutbox), pruneInbox, pruneOnce, ...prunes], log));
    registration = registerInstance(parts, port);
    log.info({ port }, "ready");
    return { port, finishWithinMs, leave, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function inFull(handling: Handling): Exclude<Handling, readonly EventHandler[]> {
  return "handlers" in handling ? handling : { handlers: handling };
}

/**
 * Throws if by their contracts the events are another's to publish, or a command is others' to send: the broker would
 * refuse what this service puts into its outbox.
 */
function assertSender(service: string, { publishes, sends = [] }: Duties): void {
  if (publishes && !maySend(publishes, service)) {
    const { owner } = eventContract(publishes);
    throw new Error(`${service} publishes ${publishes.typeName}, which its contract says is ${owner}'s`);
  }
  const foreign = sends.filter((command) => !maySend(command, service)).map(({ typeName }) => typeName);
  if (foreign.length === 0) return;
  throw new Error(
    `${service} sends ${foreign.join(", ")}, whose contract does not name it among the senders`,
  );
}

/** Throws if the contract has a subscription that nothing is done about: its events would never be read, and nobody told. */
function assertSubscribed({ contract, handles = {}, readModels = {} }: Duties): void {
  const followed = new Set([...Object.keys(handles), ...Object.keys(readModels)]);
  const forgotten = getOption(contract, subscriptions).filter(({ name }) => !followed.has(name));
  if (forgotten.length === 0) return;
  const names = forgotten.map(({ name }) => `"${name}"`).join(", ");
  throw new Error(`nothing handles the subscriptions of ${contract.typeName}: ${names}`);
}

/** All that the service publishes, sends and handles. */
function messagesOf({ publishes, sends = [], handles = {}, readModels = {} }: Duties): DescMessage[] {
  const handlers = [
    ...Object.values(handles).flatMap((handling) => inFull(handling).handlers),
    ...Object.values(readModels).flatMap((model) => model.handlers(1)),
  ];
  const handled = handlers.flatMap(({ schema }) => schema ?? []);
  return [...(publishes ? [publishes] : []), ...sends, ...handled];
}

/** The streams that these messages go to, each once. */
function streamsOf(messages: readonly DescMessage[]): StreamPlan[] {
  const plans = messages.map((message) => eventStream(streamContract(message)));
  return [...new Map(plans.map((plan) => [plan.name, plan])).values()];
}

/** What tells the series of an instrument apart, or says more about a span. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** The buckets that OpenTelemetry advises for the length of a call, in seconds. */
const CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The latency buckets of gRPC (A66), in seconds. */
const GRPC_SECONDS = [
  0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01,
  0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65,
  0.8, 1, 2, 5, 10, 20, 50, 100,
];

/** Buckets for how far something lags behind, from what is usual to a broker that is away, in seconds. */
const LAG_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800];

const CALL = ["rpc.system.name", "rpc.method", "rpc.status_code", "rpc.response.status_code"] as const;
const CLIENT_CALL = [...CALL, "error.type", "server.address", "server.port"] as const;
const GRPC = ["grpc.method", "grpc.target"] as const;
const ENDPOINT = ["target", "endpoint"] as const;
const BULKHEAD = ["target", "class"] as const;
const CONSUMER = ["consumer"] as const;
const STREAM = ["stream"] as const;
const SAGA = ["saga"] as const;

/**
 * Everything that is measured, by its name. `endpoint` is kept only where the settings ask for it; a gauge whose values
 * then fall together is their sum or the greatest of them, as its `merge` says.
 */
export const INSTRUMENTS = {
  "rpc.client.call.duration": histogram(
    "s",
    CALL_SECONDS,
    "Calls made, with all their attempts.",
    CLIENT_CALL,
  ),
  "rpc.server.call.duration": histogram("s", CALL_SECONDS, "Calls answered.", CLIENT_CALL),

  "grpc.client.attempt.started": counter("{attempt}", "Attempts begun, those that run included.", GRPC),
  "grpc.client.attempt.duration": histogram("s", GRPC_SECONDS, "Attempts made.", [...GRPC, "grpc.status"]),
  "grpc.client.call.duration": histogram(
    "s",
    GRPC_SECONDS,
    "Calls made, with all their attempts, as gRPC names them.",
    [...GRPC, "grpc.status"],
  ),
  "grpc.client.call.retries": histogram("{retry}", [1, 2, 3, 4, 5], "Retries of a call that had any.", GRPC),
  "grpc.client.call.transparent_retries": histogram(
    "{transparent_retry}",
    [1, 2, 3, 4, 5, 10],
    "Transparent retries of a call that had any.",
    GRPC,
  ),
  "grpc.client.call.hedges": histogram("{hedge}", [1, 2, 3, 4, 5], "Hedges of a call that had any.", GRPC),
  "grpc.client.call.retry_delay": histogram(
    "s",
    GRPC_SECONDS,
    "Time in which no attempt of a call ran.",
    GRPC,
  ),

  "grpc.server.call.started": counter("{call}", "Calls begun, those that run included.", ["grpc.method"]),
  "grpc.server.call.duration": histogram("s", GRPC_SECONDS, "Calls answered, as gRPC names them.", [
    "grpc.method",
    "grpc.status",
  ]),

  "mesh.retry.budget.balance": gauge("{retry}", "sum", "Retries that the budget still pays for.", ["target"]),
  "mesh.retry.suppressed": counter("{retry}", "Retries not made.", ["target", "rpc.method", "reason"]),
  "mesh.hedge.wins": counter("{call}", "Calls that a hedge answered first.", ["target", "rpc.method"]),

  "mesh.breaker.state": gauge("{state}", "max", "0 closed, 1 half open, 2 open.", ENDPOINT),
  "mesh.breaker.transitions": counter("{transition}", "Changes of a breaker's state.", [
    ...ENDPOINT,
    "from",
    "to",
    "reason",
  ]),
  "mesh.breaker.rejected": counter("{attempt}", "Attempts that a breaker refused.", ENDPOINT),

  "mesh.bulkhead.inflight": gauge("{call}", "sum", "Calls that hold a permit.", BULKHEAD),
  "mesh.bulkhead.limit": gauge("{call}", "sum", "Permits there are.", BULKHEAD),
  "mesh.bulkhead.rejected": counter("{call}", "Calls for which there was no permit.", BULKHEAD),

  "mesh.lb.endpoint.cost": gauge(
    "s",
    "max",
    "What another call there would cost, by the balancer.",
    ENDPOINT,
  ),
  "mesh.lb.endpoint.pending": gauge("{attempt}", "sum", "Attempts that run there.", ENDPOINT),
  "mesh.lb.endpoint.share": gauge("1", "max", "The part of the target's attempts that it got.", ENDPOINT),

  "mesh.server.limit": gauge("{call}", "sum", "Calls that are admitted at the same time.", ["class"]),
  "mesh.server.inflight": gauge("{call}", "sum", "Calls that run.", ["class"]),
  "mesh.server.queue.age": gauge("s", "max", "How long the oldest waiting call has waited.", ["class"]),
  "mesh.server.shed": counter("{call}", "Calls refused because of load.", ["class", "reason"]),
  "mesh.server.rate_limited": counter("{call}", "Calls refused because their caller makes too many.", [
    "limit",
  ]),
  "mesh.server.abandoned_handlers": gauge(
    "{call}",
    "sum",
    "Handlers that run on though their call has ended.",
    ["rpc.method"],
  ),

  "mesh.http2.cut_off": counter("{connection}", "Connections ended because of what their peer did.", [
    "guard",
  ]),

  "mesh.deadline.remaining_at_ingress": histogram("s", GRPC_SECONDS, "Time a call still had on arrival.", [
    "rpc.method",
  ]),
  "mesh.auth.refused": counter("{call}", "Calls refused because of who called, or did not say so.", [
    "rpc.method",
    "reason",
  ]),
  "mesh.deadline.rejected": counter("{call}", "Calls refused because too little time was left.", [
    "target",
    "rpc.method",
    "side",
  ]),

  "mesh.outbox.pending": gauge("{event}", "max", "Events that wait to be published.", STREAM),
  "mesh.outbox.oldest_pending_age": gauge("s", "max", "How long the oldest of them has waited.", STREAM),
  "mesh.outbox.quarantined": gauge("{event}", "max", "Events that the broker refuses for good.", STREAM),
  "mesh.outbox.published": counter("{event}", "Events that the broker has stored.", STREAM),
  "mesh.outbox.publish.duplicates": counter("{event}", "Events that the broker had already.", STREAM),
  "mesh.outbox.publish.failures": counter("{event}", "Events not published at an attempt.", [
    ...STREAM,
    "class",
  ]),
  "mesh.outbox.publish.latency": histogram(
    "s",
    LAG_SECONDS,
    "From an event's insert to its storage.",
    STREAM,
  ),
  "mesh.outbox.broker_loss": counter("{event}", "Events that the broker stored and then lost.", STREAM),
  "mesh.outbox.leader": gauge("{leader}", "max", "1 where this process publishes the stream.", STREAM),
  "mesh.outbox.table.size": gauge("By", "max", "What the outbox takes of the disk.", []),

  "mesh.consumer.pending": gauge("{message}", "max", "Messages that were never delivered.", CONSUMER),
  "mesh.consumer.ack_pending": gauge("{message}", "max", "Messages delivered and not answered.", CONSUMER),
  "mesh.consumer.redelivered": gauge("{message}", "max", "Those of them delivered before.", CONSUMER),
  "mesh.consumer.lag": histogram("s", LAG_SECONDS, "How old messages are when they are handled.", CONSUMER),
  "mesh.consumer.recreated": counter("{consumer}", "Consumers made anew, ahead of their stream.", CONSUMER),
  "mesh.consumer.breaker_open": gauge(
    "{breaker}",
    "max",
    "1 while nothing is read: the database is away.",
    CONSUMER,
  ),
  "mesh.replica.lag": gauge(
    "s",
    "max",
    "How old the oldest message is that was not handled yet; 0 if there is none.",
    CONSUMER,
  ),
  "mesh.inbox.duplicates": counter("{message}", "Messages that came though they were done with.", CONSUMER),
  "mesh.inbox.gaps": counter("{message}", "Events put off: those before them were not handled.", CONSUMER),
  "mesh.inbox.gap.oldest_age": gauge("s", "max", "How long the oldest of them has waited.", CONSUMER),
  "mesh.inbox.baselines": counter("{key}", "Keys begun with what the stream still had.", CONSUMER),
  "mesh.inbox.parked_keys": gauge("{key}", "max", "Keys that wait for a dead letter.", CONSUMER),
  "mesh.inbox.dead_letters": counter("{message}", "Messages given up.", [...CONSUMER, "reason"]),
  "mesh.handler.duration": histogram("s", CALL_SECONDS, "Handlers that ran.", [...CONSUMER, "type"]),
  "mesh.handler.failures": counter("{attempt}", "Attempts that failed and are made again.", [
    ...CONSUMER,
    "class",
  ]),
  "mesh.handler.inflight": gauge("{handler}", "sum", "Handlers that run.", CONSUMER),

  "mesh.dead_letter.depth": gauge("{message}", "max", "Dead letters that nobody has settled.", [
    ...CONSUMER,
    "reason",
  ]),
  "mesh.dead_letter.oldest_age": gauge("s", "max", "How long the oldest of them has been there.", CONSUMER),
  "mesh.dead_letter.replayed": counter("{message}", "Dead letters sent back to their consumer.", CONSUMER),
  "mesh.dead_letter.discarded": counter("{message}", "Dead letters given up by an operator.", CONSUMER),

  "mesh.broker.advisory": counter("{advisory}", "What the broker said by itself.", [
    "kind",
    ...STREAM,
    ...CONSUMER,
  ]),

  "mesh.saga.active": gauge("{saga}", "max", "Sagas in a state that is not their end.", [...SAGA, "state"]),
  "mesh.saga.oldest_age": gauge("s", "max", "How long the oldest of them has been in it.", [
    ...SAGA,
    "state",
  ]),
  "mesh.saga.compensations": counter("{saga}", "Sagas whose steps were undone.", [...SAGA, "reason"]),
  "mesh.saga.timeouts": counter("{saga}", "Sagas that were in a state for too long.", [...SAGA, "state"]),

  "mesh.degraded": counter("{call}", "Calls answered with less than was asked.", ["rpc.method", "kind"]),
} as const;

type Instruments = typeof INSTRUMENTS;
type NameOf<Kind extends string> = {
  [N in keyof Instruments]: Instruments[N]["kind"] extends Kind ? N : never;
}[keyof Instruments];

/** What is counted. */
export type CounterName = NameOf<"counter">;
/** What is recorded value by value. */
export type HistogramName = NameOf<"histogram">;
/** What is asked when somebody looks. */
export type GaugeName = NameOf<"gauge">;

/** The attributes that an instrument may have. */
export type AttributesOf<N extends keyof Instruments> = {
  readonly [A in Instruments[N]["attributes"][number]]?: string | number | undefined;
};

interface Instrument<Kind extends string, A extends string> {
  readonly kind: Kind;
  readonly unit: string;
  readonly description: string;
  readonly attributes: readonly A[];
}

function counter<const A extends string>(
  unit: string,
  description: string,
  attributes: readonly A[],
): Instrument<"counter", A> {
  return { kind: "counter", unit, description, attributes };
}

function histogram<const A extends string>(
  unit: string,
  boundaries: readonly number[],
  description: string,
  attributes: readonly A[],
): Instrument<"histogram", A> & { readonly boundaries: readonly number[] } {
  return { kind: "histogram", unit, boundaries, description, attributes };
}

function gauge<const A extends string>(
  unit: string,
  merge: "sum" | "max",
  description: string,
  attributes: readonly A[],
): Instrument<"gauge", A> & { readonly merge: "sum" | "max" } {
  return { kind: "gauge", unit, merge, description, attributes };
}

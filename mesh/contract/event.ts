import {
  type DescField,
  type DescMessage,
  type DescService,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import {
  contract,
  Kind,
  OnDead,
  OnUnknownType,
  Ordering,
  stream,
  subscriptions,
} from "../../gen/mesh/event/v1/event_pb.ts";

/** What a contract lists in place of types when its subscription takes all of them. */
export const ANY_TYPE = "*";

const DAY_MS = 86_400_000;

/**
 * The longest that a stream may keep its messages: consumers know what they have handled for twice as long, because an
 * owner, which keeps what it has published as long as the stream does, may publish it again on the last day. Milliseconds.
 */
export const MAX_STREAM_AGE_MS = 7 * DAY_MS;

/** What the contract says of one event or command, with the defaults filled in. */
export interface EventContract {
  readonly type: string;
  readonly name: string;
  readonly kind: Kind;
  readonly owner: string;
  readonly aggregate: string;
  readonly major: number;
  /** The field that holds the key; undefined if its messages have none, which only the ordering NONE allows. */
  readonly keyField: string | undefined;
  readonly ordering: Ordering;
  readonly stream: string;
  /** How long a command may wait before its receiver must reject it. Undefined for ever. */
  readonly ttlMs: number | undefined;
  /** The services that send this command, beside its owner; none for an event. */
  readonly senders: readonly string[];
}

/** What the contract says of a stream, with the defaults filled in. */
export interface StreamContract {
  readonly name: string;
  readonly kind: Kind;
  readonly aggregate: string;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  readonly duplicateWindowMs: number;
  readonly replicas: number;
}

/** What the contract says of a subscription, with the defaults filled in. */
export interface SubscriptionContract {
  readonly name: string;
  readonly kind: Kind;
  readonly aggregate: string;
  readonly stream: string;
  readonly handles: readonly string[];
  readonly ordering: Ordering;
  readonly maxAttempts: number;
  readonly handlerTimeoutMs: number;
  readonly onDead: OnDead;
  readonly onUnknownType: OnUnknownType;
  /** The build of the read model that it feeds. */
  readonly build: number;
}

/** The name of the stream that keeps an aggregate's events, or a service's commands. */
export function streamName(aggregate: string, kind: Kind = Kind.EVENT): string {
  return `${kind === Kind.COMMAND ? "CMD" : "EVT"}_${aggregate.toUpperCase()}`;
}

const contracts = new WeakMap<DescMessage, EventContract>();

/** True if the message is declared to be an event or a command. */
export function isContracted(message: DescMessage): boolean {
  return hasOption(message, contract);
}

/** Reads a message's contract. Throws, naming the message, if it has none or one that cannot work. */
export function eventContract(message: DescMessage): EventContract {
  const known = contracts.get(message);
  if (known) return known;
  if (!isContracted(message)) {
    throw new Error(`${message.typeName} is no event: its contract states no (mesh.event.v1.contract)`);
  }
  const problems = [...contractProblems(message)].map(({ what }) => what);
  if (problems.length > 0) {
    throw new Error(`the contract of ${message.typeName} cannot work: ${problems.join("; ")}`);
  }
  const { kind, owner, aggregate, major, key, ordering, ttl, senders } = getOption(message, contract);
  const result: EventContract = {
    type: message.typeName,
    name: message.name,
    kind,
    owner,
    aggregate,
    major: major || 1,
    keyField: key || undefined,
    ordering: ordering || defaultOrdering(kind),
    stream: streamName(aggregate, kind),
    ttlMs: ttl && durationMs(ttl),
    senders: kind === Kind.COMMAND ? senders : [],
  };
  contracts.set(message, result);
  return result;
}

/** Whether a service may publish or send these messages: an event is its owner's, a command is that of its senders too. */
export function maySend(message: DescMessage, service: string): boolean {
  const { owner, senders } = eventContract(message);
  return owner === service || senders.includes(service);
}

/** Something that cannot work, and what it is about. */
export interface ContractProblem {
  readonly about: "contract" | "key" | "stream";
  readonly what: string;
}

/** What is wrong with the contract that a message states, whatever else there is. */
export function* contractProblems(message: DescMessage): Generator<ContractProblem> {
  const { kind, owner, aggregate, key, ordering, ttl } = getOption(message, contract);
  const about = "contract";
  if (kind !== Kind.EVENT && kind !== Kind.COMMAND) {
    yield { about, what: "it is neither an event nor a command" };
    return;
  }
  if (!owner || !aggregate) {
    yield { about, what: "it names no owner or no aggregate" };
    return;
  }
  const isUnordered = (ordering || defaultOrdering(kind)) === Ordering.NONE;
  if (key === "" && !isUnordered)
    yield { about: "key", what: "without a key there is no order, so its ordering must be NONE" };
  if (key !== "" && !message.fields.some((field) => field.name === key && isText(field)))
    yield { about: "key", what: `its key "${key}" is not a text field of it` };
  const name = streamName(aggregate, kind);
  if (getOption(message.file, stream).name !== name)
    yield { about: "stream", what: `its file must state the stream ${name}` };
  if (kind === Kind.COMMAND && aggregate !== owner)
    yield { about, what: "the aggregate of a command is its owner" };
  if (kind === Kind.EVENT && ttl)
    yield { about, what: "a fact does not expire, so only a command has a ttl" };
  if (ttl && durationMs(ttl) <= 0) yield { about, what: "its ttl must be longer than nothing" };
}

function defaultOrdering(kind: Kind): Ordering {
  return kind === Kind.COMMAND ? Ordering.NONE : Ordering.STRICT;
}

function isText(field: DescField): boolean {
  return field.fieldKind === "scalar" && field.scalar === ScalarType.STRING;
}

/** Reads the stream that keeps these messages. */
export function streamContract(message: DescMessage): StreamContract {
  const { name, maxAge, maxBytes, duplicateWindow, replicas } = getOption(message.file, stream);
  const { kind, aggregate } = eventContract(message);
  return {
    name,
    kind,
    aggregate,
    maxAgeMs: ms(maxAge, kind === Kind.COMMAND ? DAY_MS : 7 * DAY_MS),
    maxBytes: Number(maxBytes) || 2 ** 30,
    duplicateWindowMs: ms(duplicateWindow, 600_000),
    replicas: replicas || 1,
  };
}

/** Reads a subscription of a service. Throws, naming both, if the contract has none of this name. */
export function subscriptionContract(service: DescService, name: string): SubscriptionContract {
  const found = getOption(service, subscriptions).find((each) => each.name === name);
  if (!found) throw new Error(`the contract of ${service.typeName} has no subscription "${name}"`);
  const kind = found.kind || Kind.EVENT;
  const ordering = found.ordering || defaultOrdering(kind);
  const parks = ordering === Ordering.STRICT ? OnDead.PARK_KEY : OnDead.SKIP;
  return {
    name,
    kind,
    aggregate: found.aggregate,
    stream: streamName(found.aggregate, kind),
    handles: found.handles,
    ordering,
    maxAttempts: found.maxAttempts || 6,
    handlerTimeoutMs: ms(found.handlerTimeout, 20_000),
    onDead: found.onDead || parks,
    onUnknownType: found.onUnknownType || OnUnknownType.ADVANCE,
    build: found.build || 1,
  };
}

function ms(duration: Duration | undefined, fallbackMs: number): number {
  return duration === undefined ? fallbackMs : durationMs(duration);
}

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

const DAY_MS = 86_400_000;

/** What the contract says of one event or command, with the defaults filled in. */
export interface EventContract {
  readonly type: string;
  readonly name: string;
  readonly kind: Kind;
  readonly owner: string;
  readonly aggregate: string;
  readonly major: number;
  /** Reads the key of a message. */
  readonly keyField: string;
  readonly ordering: Ordering;
  readonly stream: string;
}

/** What the contract says of a stream, with the defaults filled in. */
export interface StreamContract {
  readonly name: string;
  readonly aggregate: string;
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  readonly duplicateWindowMs: number;
  readonly replicas: number;
}

/** What the contract says of a subscription, with the defaults filled in. */
export interface SubscriptionContract {
  readonly name: string;
  readonly aggregate: string;
  readonly stream: string;
  readonly handles: readonly string[];
  readonly ordering: Ordering;
  readonly maxAttempts: number;
  readonly handlerTimeoutMs: number;
  readonly onDead: OnDead;
  readonly onUnknownType: OnUnknownType;
}

/** The name of the stream that keeps an aggregate's events. */
export function streamName(aggregate: string): string {
  return `EVT_${aggregate.toUpperCase()}`;
}

const contracts = new WeakMap<DescMessage, EventContract>();

/** Reads a message's contract. Throws, naming the message, if it has none or one that cannot work. */
export function eventContract(message: DescMessage): EventContract {
  const known = contracts.get(message);
  if (known) return known;
  if (!hasOption(message, contract)) {
    throw new Error(`${message.typeName} is no event: its contract states no (mesh.event.v1.contract)`);
  }
  const { kind, owner, aggregate, major, key, ordering } = getOption(message, contract);
  const problem =
    kind !== Kind.EVENT
      ? "only events are carried so far, its kind is another"
      : !owner || !aggregate
        ? "it names no owner or no aggregate"
        : !message.fields.some((field) => field.name === key && isText(field))
          ? `its key "${key}" is not a text field of it`
          : getOption(message.file, stream).name !== streamName(aggregate)
            ? `its file must state the stream ${streamName(aggregate)}`
            : undefined;
  if (problem) throw new Error(`the contract of ${message.typeName} cannot work: ${problem}`);
  const result: EventContract = {
    type: message.typeName,
    name: message.name,
    kind,
    owner,
    aggregate,
    major: major || 1,
    keyField: key,
    ordering: ordering || Ordering.STRICT,
    stream: streamName(aggregate),
  };
  contracts.set(message, result);
  return result;
}

function isText(field: DescField): boolean {
  return field.fieldKind === "scalar" && field.scalar === ScalarType.STRING;
}

/** Reads the stream that keeps these messages. */
export function streamContract(message: DescMessage): StreamContract {
  const { name, maxAge, maxBytes, duplicateWindow, replicas } = getOption(message.file, stream);
  return {
    name,
    aggregate: eventContract(message).aggregate,
    maxAgeMs: ms(maxAge, 7 * DAY_MS),
    maxBytes: Number(maxBytes) || 2 ** 30,
    duplicateWindowMs: ms(duplicateWindow, 600_000),
    replicas: replicas || 1,
  };
}

/** Reads a subscription of a service. Throws, naming both, if the contract has none of this name. */
export function subscriptionContract(service: DescService, name: string): SubscriptionContract {
  const found = getOption(service, subscriptions).find((each) => each.name === name);
  if (!found) throw new Error(`the contract of ${service.typeName} has no subscription "${name}"`);
  const ordering = found.ordering || Ordering.STRICT;
  const parks = ordering === Ordering.STRICT ? OnDead.PARK_KEY : OnDead.SKIP;
  return {
    name,
    aggregate: found.aggregate,
    stream: streamName(found.aggregate),
    handles: found.handles,
    ordering,
    maxAttempts: found.maxAttempts || 6,
    handlerTimeoutMs: ms(found.handlerTimeout, 20_000),
    onDead: found.onDead || parks,
    onUnknownType: found.onUnknownType || OnUnknownType.ADVANCE,
  };
}

function ms(duration: Duration | undefined, fallbackMs: number): number {
  return duration === undefined ? fallbackMs : durationMs(duration);
}

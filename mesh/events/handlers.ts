import type { DescMessage, DescService, MessageShape } from "@bufbuild/protobuf";
import { ANY_TYPE, eventContract, type SubscriptionContract } from "../contract/event.ts";
import type { Tx } from "../store/transaction.ts";
import type { Envelope, Headers } from "./envelope.ts";

/** What a handler knows of an event beside its content. */
export type EventMeta = Envelope & {
  /** Which attempt this is, counted from 1. */
  readonly attempt: number;
  /** Aborts when the handler's time is up; its transaction is rolled back then. */
  readonly signal: AbortSignal;
};

/** A message of any type, as it came. */
export interface RawMessage {
  readonly stream: string;
  /** Its place in the stream. */
  readonly streamSeq: number;
  readonly subject: string;
  readonly headers: Headers;
  readonly payload: Uint8Array;
}

export { ANY_TYPE };

/** What a service does about one type of event, or about all. */
export interface EventHandler {
  /** The type, as the contract lists it. */
  readonly type: string;
  /** Undefined if it takes messages as they come. */
  readonly schema: DescMessage | undefined;
  readonly handle: (tx: Tx, event: never, meta: EventMeta) => Promise<void>;
}

/**
 * Says what to do about a type of event. The effect belongs into `tx`: it becomes durable together with the fact that
 * the event was handled, so it happens once, however often the event is delivered.
 */
export function on<T extends DescMessage>(
  schema: T,
  handle: (tx: Tx, event: MessageShape<T>, meta: EventMeta) => Promise<void>,
): EventHandler {
  return { type: schema.typeName, schema, handle: handle as EventHandler["handle"] };
}

/** Says what to do about a message of any type, known here or not, such as keeping it. The contract lists `"*"`. */
export function onAny(handle: (tx: Tx, message: RawMessage, meta: EventMeta) => Promise<void>): EventHandler {
  return { type: ANY_TYPE, schema: undefined, handle: handle as EventHandler["handle"] };
}

/** The service's name: `order` of `shop.order.v1.OrderService`. */
export function serviceName(service: DescService): string {
  const parts = service.file.proto.package.split(".");
  const name = parts.at(-2);
  if (!name) throw new Error(`${service.typeName}: its package must be <system>.<service>.v<major>`);
  return name;
}

/** The name of the consumer of a subscription, `<service>__<subscription>`; from the second build of its read model on with `_v<build>`. */
export function consumerName(service: DescService, subscription: string, build = 1): string {
  const name = `${serviceName(service)}__${subscription}`;
  return build === 1 ? name : `${name}_v${build}`;
}

/** The name of the consumer of dead letters that come again to this consumer. */
export function replayName(consumer: string): string {
  return `${consumer}__replay`;
}

/** Handlers by type. Throws if they are not exactly those that the contract says, or not of its aggregate. */
export function handlersByType(
  { name, handles, aggregate }: SubscriptionContract,
  handlers: readonly EventHandler[],
): ReadonlyMap<string, EventHandler> {
  const byType = new Map(handlers.map((handler) => [handler.type, handler]));
  const missing = handles.filter((type) => !byType.has(type));
  const extra = [...byType.keys()].filter((type) => !handles.includes(type));
  if (missing.length > 0 || extra.length > 0) {
    const problems = [
      missing.length > 0 && `nothing handles ${missing.join(", ")}`,
      extra.length > 0 && `its contract does not list ${extra.join(", ")}`,
    ];
    throw new Error(`subscription "${name}": ${problems.filter(Boolean).join("; ")}`);
  }
  for (const { schema } of handlers) {
    if (!schema) continue;
    const actual = eventContract(schema).aggregate;
    if (actual !== aggregate) {
      throw new Error(`subscription "${name}" is of ${aggregate}, but ${schema.typeName} is of ${actual}`);
    }
  }
  return byType;
}

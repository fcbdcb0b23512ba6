import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Kind, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { type EventContract, eventContract } from "../contract/event.ts";
import { systemClock } from "../core/clock.ts";
import { newId } from "../core/ids.ts";
import { childOf, formatTraceparent } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import type { Tx } from "../store/transaction.ts";
import { Changes } from "../store/watch.ts";
import { dataSchema, encodeHeader, type Headers } from "./envelope.ts";
import { subjectOf } from "./subject.ts";

/** Wakes the relay of a stream when something was put into its outbox. */
export const outboxChanges = new Changes();

/**
 * Publishes an event with the transaction: it will be sent if and only if the transaction commits. The events of one
 * key are numbered in the order in which their transactions commit, unless their contract says that they have no order.
 */
export async function publish<T extends DescMessage>(
  tx: Tx,
  schema: T,
  init: MessageInitShape<T>,
): Promise<void> {
  await publishVersion(tx, schema, init);
}

/**
 * Publishes like {@link publish}, and resolves with the event's number within its key: the version of what the key names,
 * for readers of a replica (`untilReplicaHas`). 0 if events of this contract have no order.
 */
export async function publishVersion<T extends DescMessage>(
  tx: Tx,
  schema: T,
  init: MessageInitShape<T>,
): Promise<number> {
  return put(tx, contractOf(schema, Kind.EVENT), schema, create(schema, init));
}

/**
 * Sends a command with the transaction: it will reach the one service that it is for if and only if the transaction
 * commits, and that handles it once, or rejects it, which it must once the command's time to live is over. Nothing is
 * answered: what came of it is an event of the receiver. A command whose answer is needed now is a call.
 */
export async function send<T extends DescMessage>(
  tx: Tx,
  schema: T,
  init: MessageInitShape<T>,
): Promise<void> {
  await put(tx, contractOf(schema, Kind.COMMAND), schema, create(schema, init));
}

function contractOf(schema: DescMessage, kind: Kind): EventContract {
  const contract = eventContract(schema);
  if (contract.kind === kind) return contract;
  throw new Error(
    `${schema.typeName} is ${kind === Kind.EVENT ? "sent, not published" : "published, not sent"}`,
  );
}

async function put<T extends DescMessage>(
  tx: Tx,
  contract: EventContract,
  schema: T,
  message: MessageShape<T>,
): Promise<number> {
  const { stream, type } = contract;
  const eventId = newId();
  const key = keyOf(contract, schema, message);
  const subject = subjectOf(contract, key ?? eventId);
  const headers = JSON.stringify(headersOf(contract, schema, eventId, key));
  const payload = Buffer.from(toBinary(schema, message));
  // First, because only a transaction can do this.
  tx.afterCommit(() => outboxChanges.announce(stream));
  if (key === undefined || contract.ordering === Ordering.NONE) {
    // Without a number nobody waits for another transaction of the same key.
    await tx`
      INSERT INTO outbox (event_id, stream, subject, type, headers, payload)
      VALUES (${eventId}, ${stream}, ${subject}, ${type}, ${headers}::text::jsonb, ${payload})`;
    return 0;
  }
  const [row] = await tx<{ key_seq: number }[]>`
    WITH number AS (
      INSERT INTO event_key (stream, key, last_seq) VALUES (${stream}, ${key}, 1)
      ON CONFLICT (stream, key) DO UPDATE SET last_seq = event_key.last_seq + 1
      RETURNING last_seq)
    INSERT INTO outbox (event_id, stream, subject, type, key, key_seq, headers, payload)
    SELECT ${eventId}, ${stream}, ${subject}, ${type}, ${key}, last_seq, ${headers}::text::jsonb, ${payload}
    FROM number
    RETURNING key_seq`;
  return row?.key_seq ?? 0;
}

function keyOf({ keyField }: EventContract, schema: DescMessage, message: object): string | undefined {
  if (keyField === undefined) return undefined;
  const localName = schema.fields.find((each) => each.name === keyField)?.localName ?? keyField;
  const key = (message as Record<string, unknown>)[localName];
  if (typeof key !== "string" || key === "") throw new Error(`${schema.typeName} needs its key ${keyField}`);
  return key;
}

/** The envelope, without what only the relay knows: the time of the insert, the sender of a command, and the numbers. */
function headersOf(
  { kind, type, owner, ttlMs }: EventContract,
  schema: DescMessage,
  eventId: string,
  key: string | undefined,
): Headers {
  const work = currentWork();
  const trace = childOf(work?.trace);
  const traceparent = formatTraceparent(trace);
  return {
    "ce-specversion": "1.0",
    "ce-id": eventId,
    ...(kind === Kind.EVENT && { "ce-source": sourceOf(type, owner) }),
    "ce-type": type,
    ...(key !== undefined && { "ce-subject": encodeHeader(key), "ce-partitionkey": encodeHeader(key) }),
    "ce-datacontenttype": "application/protobuf",
    "ce-dataschema": encodeHeader(dataSchema(schema)),
    "ce-correlationid": encodeHeader(work?.requestId ?? eventId),
    "ce-causationid": encodeHeader(work?.causationId ?? work?.requestId ?? eventId),
    ...(ttlMs !== undefined && {
      "ce-expirytime": new Date(systemClock.date().getTime() + ttlMs).toISOString(),
    }),
    traceparent,
    ...(trace.state !== undefined && { tracestate: trace.state }),
    ...work?.carried,
    // What it was published in, whatever hops come after.
    "ce-traceparent": work ? formatTraceparent(work.trace) : traceparent,
  };
}

/** Who speaks, as `ce-source` says it: `/shop/order`, with the system that a full name such as `shop.order.v1.Order` begins with. */
export function sourceOf(fullName: string, service: string): string {
  return `/${fullName.split(".")[0]}/${service}`;
}

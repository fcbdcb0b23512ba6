import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { eventContract } from "../contract/event.ts";
import { newId } from "../core/ids.ts";
import { childOf, formatTraceparent } from "../core/trace.ts";
import { currentWork } from "../core/work.ts";
import type { Tx } from "../store/transaction.ts";
import { Changes } from "../store/watch.ts";
import { dataSchema, encodeHeader } from "./envelope.ts";
import { subjectOf } from "./subject.ts";

/** Wakes the relay of a stream when something was put into its outbox. */
export const outboxChanges = new Changes();

/**
 * Publishes an event with the transaction: it will be sent if and only if the transaction commits. The events of one
 * key are numbered in the order in which their transactions commit.
 */
export async function publish<T extends DescMessage>(
  tx: Tx,
  schema: T,
  init: MessageInitShape<T>,
): Promise<void> {
  const contract = eventContract(schema);
  const message = create(schema, init);
  const key = (message as unknown as Record<string, unknown>)[localName(schema, contract.keyField)];
  if (typeof key !== "string" || key === "")
    throw new Error(`${schema.typeName} needs its key ${contract.keyField}`);

  const work = currentWork();
  const eventId = newId();
  const headers = {
    "ce-specversion": "1.0",
    "ce-id": eventId,
    "ce-source": `/shop/${contract.owner}`,
    "ce-type": contract.type,
    "ce-subject": encodeHeader(key),
    "ce-datacontenttype": "application/protobuf",
    "ce-dataschema": encodeHeader(dataSchema(schema)),
    "ce-partitionkey": encodeHeader(key),
    "ce-correlationid": encodeHeader(work?.requestId ?? eventId),
    "ce-causationid": encodeHeader(work?.causationId ?? work?.requestId ?? eventId),
    traceparent: formatTraceparent(childOf(work?.trace)),
  };
  // First, because only a transaction can do this.
  tx.afterCommit(() => outboxChanges.announce(contract.stream));
  await tx`
    WITH number AS (
      INSERT INTO event_key (stream, key, last_seq) VALUES (${contract.stream}, ${key}, 1)
      ON CONFLICT (stream, key) DO UPDATE SET last_seq = event_key.last_seq + 1
      RETURNING last_seq)
    INSERT INTO outbox (event_id, stream, subject, type, key, key_seq, headers, payload)
    SELECT ${eventId}, ${contract.stream}, ${subjectOf(contract, key)}, ${contract.type}, ${key}, last_seq,
           ${JSON.stringify(headers)}::text::jsonb, ${Buffer.from(toBinary(schema, message))}
    FROM number`;
}

function localName(schema: DescMessage, field: string): string {
  return schema.fields.find((each) => each.name === field)?.localName ?? field;
}

import { fromJsonString } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { jetstreamManager } from "@nats-io/jetstream";
import { type DeadLetterRecord, DeadLetterRecordSchema } from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { readStream } from "./read-stream.ts";
import { DEAD_LETTER_RECORDS, isMissing } from "./streams.ts";

/** A record, and its place in the stream of records. */
export interface KeptRecord {
  readonly seq: number;
  readonly record: DeadLetterRecord;
}

/** Which records. What is empty does not matter. */
export interface RecordFilter {
  /** `replay` or `discard`. */
  readonly action: string;
  readonly operator: string;
  /** `<service>__<subscription>` of the dead letter, or a service. */
  readonly consumer: string;
  /** That of the dead letter. */
  readonly key: string;
  readonly since: Date | undefined;
}

const AT_ONCE = 500;

/**
 * Reads what operators have done with dead letters, the latest first, from behind `beforeSeq` or from the end. Leaving it
 * early is fine. Throws when the broker does not answer.
 */
export async function* readDeadLetterRecords(
  online: Online,
  {
    filter,
    beforeSeq,
    signal,
  }: { filter: RecordFilter; beforeSeq?: number | undefined; signal: AbortSignal },
): AsyncGenerator<KeptRecord> {
  const { name: stream } = DEAD_LETTER_RECORDS;
  const { firstSeq, lastSeq } = await placesOf(online, stream, signal);
  const subject = `dlqaudit.${filter.action || "*"}`;
  // A broker reads forwards: so the last of them, turned round, then those before.
  for (let end = Math.min(beforeSeq ?? lastSeq + 1, lastSeq + 1); end > firstSeq; end -= AT_ONCE) {
    const found: KeptRecord[] = [];
    const afterSeq = Math.max(end - AT_ONCE, firstSeq) - 1;
    for await (const message of readStream(online, { stream, subject, afterSeq, signal })) {
      if (message.seq >= end) break;
      found.push({ seq: message.seq, record: recordOf(message.string()) });
    }
    for (const kept of found.reverse()) {
      if (isBefore(kept, filter.since)) return;
      if (matches(kept, filter)) yield kept;
    }
  }
}

async function placesOf({ connection, lost }: Online, stream: string, signal: AbortSignal) {
  const until = AbortSignal.any([signal, lost]);
  const { streams } = await raceSignal(jetstreamManager(connection, { checkAPI: false }), until);
  const info = await raceSignal(streams.info(stream), until).catch((error) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  // Of one that never held anything both are 0.
  return { firstSeq: Math.max(info?.state.first_seq ?? 1, 1), lastSeq: info?.state.last_seq ?? 0 };
}

function recordOf(text: string): DeadLetterRecord {
  return fromJsonString(DeadLetterRecordSchema, text, { ignoreUnknownFields: true });
}

function isBefore({ record: { time } }: KeptRecord, since: Date | undefined): boolean {
  return since !== undefined && time !== undefined && timestampDate(time) < since;
}

function matches({ record: { operator, letter } }: KeptRecord, filter: RecordFilter): boolean {
  const [service] = letter?.consumer.split("__") ?? [];
  const isBy = filter.operator === "" || operator === filter.operator;
  const isOf = filter.consumer === "" || [letter?.consumer, service].includes(filter.consumer);
  return isBy && isOf && (filter.key === "" || letter?.key === filter.key);
}

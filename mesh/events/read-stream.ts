import { AckPolicy, DeliverPolicy, type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { isMissing } from "./streams.ts";

/** What of a stream is read. */
export interface StreamRead {
  readonly stream: string;
  /** Only messages of these subjects, with `*` and `>`. */
  readonly subject: string;
  /** Only what stands behind this place. */
  readonly afterSeq: number;
  /** True to leave the payloads where they are. Defaults to false. */
  readonly headersOnly?: boolean;
  readonly signal: AbortSignal;
}

const AT_ONCE = 500;
const WAIT_MS = 2_000;
const READER_KEPT_MS = 30_000;

/**
 * Reads what a stream holds, the oldest first. Ends at the last message that was there when it began, and at once if there
 * is no such stream; leaving it early is fine. Throws when the broker does not answer.
 */
export async function* readStream(
  { connection, lost }: Online,
  { stream, subject, afterSeq, headersOnly = false, signal }: StreamRead,
): AsyncGenerator<JsMsg> {
  const until = AbortSignal.any([signal, lost]);
  const manager = await raceSignal(jetstreamManager(connection, { checkAPI: false }), until);
  const added = manager.consumers.add(stream, {
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: afterSeq + 1,
    filter_subject: subject,
    headers_only: headersOnly,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: nanos(READER_KEPT_MS),
  });
  const reader = await raceSignal(added, until).catch((error) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (!reader) return;
  try {
    const consumer = jetstream(connection).consumers.getConsumerFromInfo(reader);
    for (let left = reader.num_pending; left > 0; ) {
      let isEmpty = true;
      const batch = await consumer.fetch({ max_messages: Math.min(left, AT_ONCE), expires: WAIT_MS });
      for await (const message of batch) {
        until.throwIfAborted();
        isEmpty = false;
        left = Math.min(left - 1, message.info.pending);
        yield message;
      }
      until.throwIfAborted();
      // Deleted meanwhile, or late: the broker says which.
      if (isEmpty) {
        const { num_pending } = await raceSignal(manager.consumers.info(stream, reader.name), until);
        left = Math.min(left, num_pending);
      }
    }
  } finally {
    manager.consumers.delete(stream, reader.name).catch(() => {});
  }
}

import { createHash } from "node:crypto";
import { create, toJsonString } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { DeadLetterRecordSchema } from "../../gen/mesh/admin/v1/dead_letter_pb.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { newId } from "../core/ids.ts";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { type Meter, noMetrics } from "../telemetry/metrics.ts";
import {
  type BuriedLetter,
  describeLetter,
  type LetterFilter,
  readDeadLetter,
} from "./dead-letter-stream.ts";
import { encodeHeader } from "./envelope.ts";
import { DEAD_LETTER_RECORDS, DEAD_LETTERS, ensureStream, REPLAYS } from "./streams.ts";
import { replaySubject } from "./subject.ts";

/** What an operator wants done with dead letters. */
export interface Settlement {
  /** `replay`: their consumer handles them again. `discard`: it goes past them. */
  readonly action: "replay" | "discard";
  readonly operator: string;
  readonly note: string;
  readonly ratePerSecond: number;
  /** Which letters were asked for, for the records. Defaults to none: they were named by their numbers. */
  readonly filter?: LetterFilter | undefined;
}

/** A settlement as it is carried out. */
interface Act extends Settlement {
  readonly actId: string;
  readonly matched: number;
}

const COUNTER = { replay: "mesh.dead_letter.replayed", discard: "mesh.dead_letter.discarded" } as const;

/** How far it is. */
export interface SettlementProgress {
  readonly matched: number;
  readonly done: number;
  /** Were not there any more when it was their turn. */
  readonly gone: number;
}

/**
 * Settles dead letters, those of a key in their order, and says after each how far it is. Each goes to its consumer,
 * then into the records, then out of the dead letters, each step acknowledged before the next: after a crash between
 * any two the letter is still there, and settling it again is recognised by the broker, or by the consumer, which
 * settles a letter once. It is counted when it is out. Throws when the broker does not answer.
 */
export async function* settleDeadLetters(
  online: Online,
  letters: readonly BuriedLetter[],
  settlement: Settlement,
  {
    signal,
    meter = noMetrics,
    clock = systemClock,
  }: { readonly signal: AbortSignal; readonly meter?: Meter; readonly clock?: Clock },
): AsyncGenerator<SettlementProgress> {
  const until = AbortSignal.any([signal, online.lost]);
  const manager = await raceSignal(jetstreamManager(online.connection, { checkAPI: false }), until);
  for (const plan of [REPLAYS, DEAD_LETTER_RECORDS])
    await raceSignal(ensureStream(manager, plan, online.replicas), until);

  const act = { ...settlement, actId: newId(), matched: letters.length };
  const progress = { matched: letters.length, done: 0, gone: 0 };
  const beganMs = clock.now();
  for (const [at, { seq }] of inOrder(letters).entries()) {
    const waitMs = beganMs + (at * 1_000) / settlement.ratePerSecond - clock.now();
    await clock.sleep(Math.max(waitMs, 0), until);
    until.throwIfAborted();
    const found = await readDeadLetter(online, seq, until);
    if (found) {
      await settle(online, manager, found, act, { until, now: clock.date() });
      progress.done++;
      meter.count(COUNTER[settlement.action], { consumer: found.letter.consumer });
    } else progress.gone++;
    yield { ...progress };
  }
}

/** By the place in their stream's key, so that a consumer need not wait for the one before. */
function inOrder(letters: readonly BuriedLetter[]): BuriedLetter[] {
  const compare = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0);
  return letters.toSorted(
    (one, other) =>
      compare(one.stream, other.stream) ||
      compare(one.key, other.key) ||
      one.keySeq - other.keySeq ||
      one.seq - other.seq,
  );
}

async function settle(
  online: Online,
  manager: JetStreamManager,
  { letter, payload }: { readonly letter: BuriedLetter; readonly payload: Uint8Array },
  act: Act,
  { until, now }: { readonly until: AbortSignal; readonly now: Date },
): Promise<void> {
  const js = jetstream(online.connection);
  const { action } = act;
  const again = natsHeaders();
  for (const [name, value] of Object.entries(replayHeaders(letter, act))) again.set(name, value);
  const sent = js.publish(replaySubject(letter.consumer, letter.key), payload, {
    // Another id for the other action: who has replayed a letter in vain may give it up at once.
    msgID: `${action}:${letter.seq}:${letter.deaths}`,
    headers: again,
    expect: { streamName: REPLAYS.name },
  });
  await raceSignal(sent, until);

  const recorded = js.publish(`dlqaudit.${action}`, recordOf(letter, payload, act, now), {
    msgID: `${action}:${letter.seq}:${letter.deaths}`,
    expect: { streamName: DEAD_LETTER_RECORDS.name },
  });
  await raceSignal(recorded, until);

  // Without overwriting its bytes on disk first, which takes far longer.
  const deleted = manager.streams.deleteMessage(DEAD_LETTERS.name, letter.seq, false);
  await raceSignal(deleted, until).catch(async (error) => {
    // Another operator was faster.
    if (await readDeadLetter(online, letter.seq, until)) throw error;
  });
}

function replayHeaders({ headers, seq }: BuriedLetter, { action, operator, note }: Settlement) {
  return {
    ...headers,
    "replay-action": action === "replay" ? "retry" : "skip",
    "replay-dlq-seq": String(seq),
    "replay-by": encodeHeader(operator),
    "replay-note": encodeHeader(note),
  };
}

/** What is kept of it: of one that was given up, all but the payload itself, which may be personal. */
function recordOf(
  letter: BuriedLetter,
  payload: Uint8Array,
  { action, operator, note, filter, matched, actId }: Act,
  now: Date,
): string {
  const record = create(DeadLetterRecordSchema, {
    action,
    letter: describeLetter(letter),
    operator,
    note,
    time: timestampFromDate(now),
    ...(action === "discard" && { headers: { ...letter.headers } }),
    payloadSha256: createHash("sha256").update(payload).digest("hex"),
    ...(filter && {
      filter: { ...filter, since: filter.since && timestampFromDate(filter.since) },
    }),
    matched: BigInt(matched),
    actId,
  });
  return toJsonString(DeadLetterRecordSchema, record);
}

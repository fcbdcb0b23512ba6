import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import type { SubscriptionContract } from "../contract/event.ts";
import type { Tx } from "../store/transaction.ts";
import type { Envelope } from "./envelope.ts";
import { advanceRuns, type Run } from "./gate.ts";
import { replaceRuns } from "./latest.ts";
import { rememberAll } from "./unordered.ts";

/** A message that may pass with others. */
interface Candidate {
  readonly envelope: Envelope;
}

/**
 * Passes messages that came one after the other, by the ordering of their subscription, with one statement for all of
 * them, in the transaction of their handlers. Returns those that passed, in their order. Only what is plain passes: what
 * does not must be tried by itself, for what it is.
 */
export async function passTogether<C extends Candidate>(
  tx: Tx,
  consumer: string,
  { stream, ordering }: Pick<SubscriptionContract, "stream" | "ordering">,
  candidates: readonly C[],
): Promise<readonly C[]> {
  if (ordering === Ordering.NONE) {
    const ids = candidates.map(({ envelope }) => envelope.eventId);
    const fresh = await rememberAll(tx, consumer, ids);
    // Of two copies of a message the first one passes.
    return candidates.filter(({ envelope }) => fresh.delete(envelope.eventId));
  }
  const isLatest = ordering === Ordering.LATEST;
  const follows = isLatest ? isNewer : isNext;
  const byKey = new Map<string, C[]>();
  for (const candidate of candidates) {
    const { key } = candidate.envelope;
    const run = byKey.get(key);
    if (!run) byKey.set(key, [candidate]);
    else if (follows(candidate, run.at(-1) as C)) run.push(candidate);
  }
  const place = { consumer, stream };
  const runs = [...byKey].map(([key, run]) => runOf(key, run));
  const keys = await (isLatest ? replaceRuns(tx, place, runs) : advanceRuns(tx, place, runs));
  const passed = new Set([...byKey].flatMap(([key, run]) => (keys.has(key) ? run : [])));
  return candidates.filter((candidate) => passed.has(candidate));
}

function isNext({ envelope }: Candidate, last: Candidate): boolean {
  return envelope.keySeq === last.envelope.keySeq + 1;
}

function isNewer({ envelope }: Candidate, last: Candidate): boolean {
  return envelope.keySeq > last.envelope.keySeq;
}

function runOf(key: string, run: readonly Candidate[]): Run {
  const numbers = run.map(({ envelope }) => envelope.keySeq);
  return { key, first: numbers[0] ?? 0, last: numbers.at(-1) ?? 0 };
}

import { jetstreamManager } from "@nats-io/jetstream";
import { raceSignal } from "../core/race.ts";
import type { Online } from "../nats/connection.ts";
import { DEAD_LETTERS, isMissing } from "./streams.ts";

/** The dead letters of a consumer that nobody has settled. */
export interface OpenLetters {
  /** `<service>__<subscription>`. */
  readonly consumer: string;
  readonly countByReason: Readonly<Record<string, number>>;
  /** When the oldest of them came. Undefined if it was settled meanwhile. */
  readonly oldestTime: Date | undefined;
}

/**
 * Counts the dead letters of each consumer that has any, without reading them but the oldest of each. Throws when the
 * broker does not answer.
 */
export async function openLetters(
  { connection, lost }: Online,
  signal: AbortSignal,
): Promise<readonly OpenLetters[]> {
  const until = AbortSignal.any([signal, lost]);
  const { streams } = await raceSignal(jetstreamManager(connection, { checkAPI: false }), until);
  const { name, subjects } = DEAD_LETTERS;
  const asked = streams.info(name, { subjects_filter: subjects[0] ?? ">" });
  const info = await raceSignal(asked, until).catch((error) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  const counts = new Map<string, Record<string, number>>();
  for (const [subject, count] of Object.entries(info?.state.subjects ?? {})) {
    const [, service, subscription, reason = ""] = subject.split(".");
    const consumer = `${service}__${subscription}`;
    counts.set(consumer, { ...counts.get(consumer), [reason]: count });
  }
  const open: OpenLetters[] = [];
  for (const [consumer, countByReason] of counts) {
    const first = { seq: 1, next_by_subj: `dlq.${consumer.split("__").join(".")}.*` };
    const oldest = await raceSignal(streams.getMessage(name, first), until);
    open.push({ consumer, countByReason, oldestTime: oldest?.time });
  }
  return open;
}

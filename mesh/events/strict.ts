import { OnDead } from "../../gen/mesh/event/v1/event_pb.ts";
import type { Sql } from "../store/connect.ts";
import type { Tx } from "../store/transaction.ts";
import type { DeadReason } from "./dead-letter.ts";
import {
  advance,
  beginWith,
  cursorOf,
  judge,
  type Place,
  park,
  parkPastLost,
  passLost,
  postpone,
  skip,
} from "./gate.ts";
import type { Progress } from "./progress.ts";

/** What the gate needs to know beside the place of an event. */
export interface StrictOptions {
  readonly eventId: string;
  readonly onDead: OnDead;
  /** Whether the key's event before this one can still come; asked of the stream now. */
  readonly predecessorIsGone: () => Promise<boolean>;
}

/** STRICT: the events of a key one after the other, without gaps. */
export function strictProgress(sql: Sql, place: Place, options: StrictOptions): Progress {
  return {
    pass: (tx, baseline) => (baseline ? beginWith(tx, place) : advance(tx, place)),
    async judge() {
      const cursor = await cursorOf(sql, place);
      const verdict = await judge(place.seq, cursor, options.predecessorIsGone);
      const { lastSeq = 0, parkedUntil = 0, retryAt, parkedBy } = cursor ?? {};
      return {
        verdict,
        nextSeq: Math.max(lastSeq, parkedUntil) + 1,
        retryAt: retryAt ?? undefined,
        blockedBy: parkedBy ?? undefined,
      };
    },
    bury: (tx, reason) => passerOf(reason, options)(tx, place),
    postpone: (delayMs) => postpone(sql, place, delayMs),
  };
}

/** How a consumer goes past a dead letter. */
function passerOf(
  reason: DeadReason,
  { onDead, eventId }: StrictOptions,
): (tx: Tx, place: Place) => Promise<boolean> {
  if (onDead === OnDead.PARK_KEY)
    return (tx, place) => (reason === "history_lost" ? parkPastLost : park)(tx, place, eventId);
  // Blocked, though dead letters are skipped: the key was parked before the contract changed.
  return reason === "history_lost" || reason === "blocked" ? passLost : skip;
}

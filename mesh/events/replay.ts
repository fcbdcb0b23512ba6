import type { MsgHdrs } from "@nats-io/nats-core";
import type { Sql } from "../store/connect.ts";
import type { Tx } from "../store/transaction.ts";
import { deadLetterId } from "./dead-letter.ts";
import { decodeHeader, UndecodableError } from "./envelope.ts";
import type { Place } from "./gate.ts";
import type { Progress } from "./progress.ts";
import { remember } from "./unordered.ts";

/** What an operator wants of a dead letter that comes again. */
export interface Replay {
  /** Whether its event is to be handled, or passed as if it had been. */
  readonly action: "retry" | "skip";
  /** Which death of its event the letter told of: 1 for the first. */
  readonly deaths: number;
  /** The stream that the event came from, whose cursor is meant. */
  readonly stream: string;
  /** True if events before it are gone for good, so that none of them is waited for. */
  readonly isPastLost: boolean;
}

/** Reads what is to be done with a replayed dead letter. Throws an {@link UndecodableError} that names what is wrong. */
export function readReplay(headers: MsgHdrs | undefined): Replay {
  const action = headers?.get("replay-action");
  if (action !== "retry" && action !== "skip")
    throw new UndecodableError("replay-action is not retry or skip");
  const stream = decodeHeader(headers?.get("dlq-orig-stream") ?? "");
  if (!stream) throw new UndecodableError("the header dlq-orig-stream is missing");
  const deaths = Number(headers?.get("dlq-count") || 1);
  if (!Number.isSafeInteger(deaths) || deaths < 1)
    throw new UndecodableError("the header dlq-count is no number");
  return {
    action,
    deaths,
    stream,
    isPastLost: headers?.get("dlq-reason") === "history_lost",
  };
}

/** Where a replayed event stands, which letter told of it, and how often it has been delivered. */
export interface Replayed {
  readonly place: Place;
  readonly eventId: string;
  readonly replay: Replay;
  readonly deliveries: number;
  /** Passes the event if it may be handled now. */
  readonly isItsTurn: (tx: Tx, place: Place, replay: Replay) => Promise<boolean>;
  /** Whether its turn comes later if it is not now; else it never does. */
  readonly waits: boolean;
}

// With naks of 5 s, about eight minutes.
const PATIENCE = 100;

/**
 * Keeps track of a replayed dead letter: each is settled once, whatever is delivered again. An event whose key was
 * parked must be the key's next one; an event that was passed when it died is handled late. If it dies again, its key
 * stays where it is. One whose turn does not come goes back to the dead letters, before the stream of replays drops it.
 */
export function replayedProgress(sql: Sql, replayed: Replayed): Progress {
  const { place, eventId, replay, deliveries, isItsTurn, waits } = replayed;
  const letterId = deadLetterId(place.consumer, eventId, replay.deaths);
  return {
    pass: async (tx) =>
      (await remember(tx, place.consumer, letterId)) && (await isItsTurn(tx, place, replay)),
    async judge() {
      if (!waits) return { verdict: "done" };
      const settled = await sql`
        SELECT 1 FROM inbox WHERE consumer = ${place.consumer} AND event_id = ${letterId}`;
      if (settled.length > 0) return { verdict: "done" };
      return { verdict: deliveries > PATIENCE ? "blocked" : "gap" };
    },
    bury: (tx) => remember(tx, place.consumer, letterId),
    postpone: async () => {},
  };
}

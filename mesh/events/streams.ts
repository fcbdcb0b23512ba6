import { JetStreamApiError, type JetStreamManager, StorageType, type StreamConfig } from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import type { StreamContract } from "../contract/event.ts";
import { subjectsOf } from "./subject.ts";

/** A stream as the broker should have it. */
export interface StreamPlan {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** Headers included. */
  readonly maxMessageBytes: number;
  readonly duplicateWindowMs: number;
  readonly replicas: number;
  /** What happens when it is full: the oldest goes, or nothing more comes in. */
  readonly whenFull: "discardOld" | "refuseNew";
  /** True if operators delete single messages of it, so that one which is missing need not be lost. */
  readonly mayHaveHoles?: true;
}

const DAY_MS = 86_400_000;
const MAX_EVENT_BYTES = 512 * 1024;
// Room for what is said of an event when it becomes a dead letter.
const MAX_DEAD_LETTER_BYTES = MAX_EVENT_BYTES + 16 * 1024;

/** The stream of an aggregate's events, or of a service's commands. */
export function eventStream(contract: StreamContract): StreamPlan {
  return {
    ...contract,
    subjects: [subjectsOf(contract)],
    maxMessageBytes: MAX_EVENT_BYTES,
    whenFull: "discardOld",
  };
}

/** The stream of dead letters. Full, it refuses: then they stay in the outboxes, and somebody notices. */
export const DEAD_LETTERS: StreamPlan = {
  name: "DLQ",
  subjects: ["dlq.>"],
  maxAgeMs: 30 * DAY_MS,
  // Set aside by the broker at once, so that no small disk stays without.
  maxBytes: 2 ** 28,
  maxMessageBytes: MAX_DEAD_LETTER_BYTES,
  duplicateWindowMs: 600_000,
  replicas: 1,
  whenFull: "refuseNew",
  // Operators delete what they have replayed or discarded.
  mayHaveHoles: true,
};

/** The stream of dead letters that come again, each to the consumer that failed at it. Whoever is first makes it. */
export const REPLAYS: StreamPlan = {
  name: "REPLAY",
  subjects: ["replay.>"],
  maxAgeMs: DAY_MS,
  maxBytes: 2 ** 26,
  maxMessageBytes: MAX_DEAD_LETTER_BYTES,
  duplicateWindowMs: 600_000,
  replicas: 1,
  whenFull: "refuseNew",
};

/** The stream of what operators have done with dead letters. */
export const DEAD_LETTER_RECORDS: StreamPlan = {
  name: "DLQ_AUDIT",
  subjects: ["dlqaudit.>"],
  maxAgeMs: 365 * DAY_MS,
  maxBytes: 2 ** 26,
  maxMessageBytes: 64 * 1024,
  duplicateWindowMs: 600_000,
  replicas: 1,
  whenFull: "refuseNew",
};

/**
 * Makes the stream if it is not there. One that is there keeps its limits, which may be an operator's; throws if it
 * holds other subjects, because then its messages are not ours.
 */
export async function ensureStream(manager: JetStreamManager, plan: StreamPlan): Promise<void> {
  try {
    const { config } = await manager.streams.info(plan.name);
    if (JSON.stringify([...config.subjects].sort()) !== JSON.stringify([...plan.subjects].sort())) {
      throw new Error(
        `the stream ${plan.name} holds ${config.subjects.join(", ")}, not ${plan.subjects.join(", ")}`,
      );
    }
  } catch (error) {
    if (!isMissing(error)) throw error;
    await manager.streams.add(configOf(plan));
  }
}

const STREAM_NOT_FOUND = 10_059;
const CONSUMER_NOT_FOUND = 10_014;

/** True if the broker says that a stream or a consumer is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && [STREAM_NOT_FOUND, CONSUMER_NOT_FOUND].includes(error.code);
}

function configOf(plan: StreamPlan): Partial<StreamConfig> & { name: string } {
  return {
    name: plan.name,
    subjects: [...plan.subjects],
    storage: StorageType.File,
    max_age: nanos(plan.maxAgeMs),
    max_bytes: plan.maxBytes,
    max_msg_size: plan.maxMessageBytes,
    duplicate_window: nanos(plan.duplicateWindowMs),
    num_replicas: plan.replicas,
    discard: plan.whenFull === "refuseNew" ? "new" : "old",
    allow_direct: true,
  } as Partial<StreamConfig> & { name: string };
}

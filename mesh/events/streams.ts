import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/nats-core";
import type { StreamContract } from "../contract/event.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
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
  /** How many nodes of the broker keep it, at least. */
  readonly replicas: number;
  /** What happens when it is full: the oldest goes, or nothing more comes in. */
  readonly whenFull: "discardOld" | "refuseNew";
  /** True if operators delete single messages of it, so that one which is missing need not be lost. */
  readonly mayHaveHoles?: true;
  /** True if it is no single service's: whoever is first makes it, and the service that offers dead letters changes it. */
  readonly isShared?: true;
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
  isShared: true,
};

/** The stream of dead letters that come again, each to the consumer that failed at it. */
export const REPLAYS: StreamPlan = {
  name: "REPLAY",
  subjects: ["replay.>"],
  maxAgeMs: DAY_MS,
  maxBytes: 2 ** 26,
  maxMessageBytes: MAX_DEAD_LETTER_BYTES,
  duplicateWindowMs: 600_000,
  replicas: 1,
  whenFull: "refuseNew",
  isShared: true,
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
  isShared: true,
};

/**
 * The stream of what the broker says by itself: that it gave up a message, that a consumer or a stream is gone. For people:
 * the broker does not promise to say it.
 */
export const ADVISORIES: StreamPlan = {
  name: "ADVISORY",
  subjects: ["CONSUMER.DELETED", "CONSUMER.MAX_DELIVERIES", "CONSUMER.MSG_TERMINATED", "STREAM.DELETED"].map(
    (what) => `$JS.EVENT.ADVISORY.${what}.>`,
  ),
  maxAgeMs: 7 * DAY_MS,
  maxBytes: 2 ** 24,
  maxMessageBytes: 64 * 1024,
  duplicateWindowMs: 120_000,
  replicas: 1,
  whenFull: "discardOld",
  isShared: true,
};

/** What is no single service's. */
export const SHARED_STREAMS: readonly StreamPlan[] = [DEAD_LETTERS, REPLAYS, DEAD_LETTER_RECORDS, ADVISORIES];

/**
 * Makes the stream if it is not there, kept by as many nodes as its plan or the deployment asks for, whichever is more.
 * One that is there stays as it is; throws if it holds other subjects, or keeps its messages by another rule than its
 * limits, because then they are not ours, or gone before all have read them. Resolves with what the broker has.
 */
export async function ensureStream(
  { streams }: JetStreamManager,
  plan: StreamPlan,
  leastReplicas = 1,
): Promise<StreamInfo> {
  const there = async () => {
    const info = await streams.info(plan.name);
    assertOurs(info.config, plan);
    return info;
  };
  try {
    return await there();
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  try {
    return await streams.add(configOf(plan, leastReplicas));
  } catch (error) {
    // Another was faster, who wants it otherwise: a release before this one, perhaps.
    if (error instanceof JetStreamApiError && error.code === STREAM_NAME_IN_USE) return there();
    throw error;
  }
}

/**
 * Makes the stream like {@link ensureStream}, and gives one that is there what it lacks of its plan: more time, more
 * room, more nodes, a longer memory for duplicates. What is more than the plan says may be an operator's, and stays.
 * What the broker then has less of, or otherwise, is logged as an error and no hindrance: it is better to publish into
 * such a stream than into none.
 */
export async function growStream(
  manager: JetStreamManager,
  plan: StreamPlan,
  { leastReplicas = 1, log }: { readonly leastReplicas?: number; readonly log: Log },
): Promise<void> {
  const wanted = configOf(plan, leastReplicas);
  const told = { stream: plan.name };
  let config = configIn(await ensureStream(manager, plan, leastReplicas));
  const lacking = GROWING.filter((name) => amount(config[name]) < amount(wanted[name]));
  if (lacking.length > 0) {
    const more = Object.fromEntries(lacking.map((name) => [name, wanted[name]]));
    const { num_replicas = config.num_replicas, ...limits } = more;
    try {
      // By themselves: a broker with too few nodes must not keep a stream from getting more room.
      if (Object.keys(limits).length > 0) config = configIn(await manager.streams.update(plan.name, limits));
      if (num_replicas > config.num_replicas)
        config = configIn(await manager.streams.update(plan.name, { num_replicas }));
      log.info({ ...told, ...more }, "the stream was given what its contract says");
    } catch (error) {
      log.error(
        { ...told, error: messageOf(error) },
        "the broker does not give the stream what its contract says",
      );
    }
  }
  const has = differences(config, wanted);
  if (has.length > 0) log.error({ ...told, has }, "the stream is not as its contract says");
}

/** As it is kept: a broker without a cluster takes any number of replicas for a stream that is there, and keeps one. */
function configIn({ config, cluster }: StreamInfo): StreamConfig {
  return cluster?.name ? config : { ...config, num_replicas: 1 };
}

type Wanted = ReturnType<typeof configOf>;

/** What may be more than a plan says. */
const GROWING = ["max_age", "max_bytes", "max_msg_size", "duplicate_window", "num_replicas"] as const;

/** What a stream has less of than it should, or has otherwise, each as `name value, not value`. */
function differences(config: StreamConfig, wanted: Wanted): string[] {
  const less = GROWING.filter((name) => amount(config[name]) < amount(wanted[name]));
  const otherwise = (["storage", "discard"] as const).filter((name) => config[name] !== wanted[name]);
  return [...less, ...otherwise].map((name) => `${name} ${config[name]}, not ${wanted[name]}`);
}

/** To the broker, nothing and less than nothing are no limit. */
function amount(limit: number | undefined): number {
  return limit === undefined || limit <= 0 ? Number.POSITIVE_INFINITY : limit;
}

function assertOurs({ subjects, retention }: StreamConfig, plan: StreamPlan): void {
  const [there, ours] = [subjects, plan.subjects].map((each) => [...each].sort().join(", "));
  if (there !== ours) throw new Error(`the stream ${plan.name} holds ${there}, not ${ours}`);
  if (retention !== RetentionPolicy.Limits)
    throw new Error(`the stream ${plan.name} has the retention ${retention}, not ${RetentionPolicy.Limits}`);
}

const STREAM_NAME_IN_USE = 10_058;
const STREAM_NOT_FOUND = 10_059;
const CONSUMER_NOT_FOUND = 10_014;

/** True if the broker says that a stream or a consumer is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && [STREAM_NOT_FOUND, CONSUMER_NOT_FOUND].includes(error.code);
}

function configOf(plan: StreamPlan, leastReplicas: number) {
  return {
    name: plan.name,
    subjects: [...plan.subjects],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    max_age: nanos(plan.maxAgeMs),
    max_bytes: plan.maxBytes,
    max_msg_size: plan.maxMessageBytes,
    duplicate_window: nanos(plan.duplicateWindowMs),
    num_replicas: Math.max(plan.replicas, leastReplicas),
    discard: plan.whenFull === "refuseNew" ? DiscardPolicy.New : DiscardPolicy.Old,
    allow_direct: true,
  };
}

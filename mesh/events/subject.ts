import { Kind } from "../../gen/mesh/event/v1/event_pb.ts";
import type { EventContract } from "../contract/event.ts";

/** The number of partitions. A contract: subjects of kept messages carry it, so it changes with a new major only. */
export const PARTITIONS = 64;

/** The partition of a key, `p00` to `p63`: FNV-1a of 32 bits, as nats-server's own `partition()` computes it. */
export function partitionOf(key: string): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return `p${String(hash % PARTITIONS).padStart(2, "0")}`;
}

/** The subject of a message: `evt.<aggregate>.v<major>.<partition>.<Name>`, and `cmd.` for a command. */
export function subjectOf(contract: EventContract, key: string): string {
  return subjectIn(contract, partitionOf(key));
}

/** The subject of a message in a partition, or whatever stands for one. */
export function subjectIn({ kind, aggregate, major, name }: EventContract, partition: string): string {
  return `${prefixOf(kind)}.${aggregate}.v${major}.${partition}.${name}`;
}

/** The subject that all events of an aggregate, or all commands to a service, are below. */
export function subjectsOf({ kind, aggregate }: Pick<EventContract, "kind" | "aggregate">): string {
  return `${prefixOf(kind)}.${aggregate}.>`;
}

function prefixOf(kind: Kind): string {
  return kind === Kind.COMMAND ? "cmd" : "evt";
}

/** The subject on which dead letters of a key come again to a consumer, `<service>__<subscription>`. */
export function replaySubject(consumer: string, key: string): string {
  return `${replayPrefix(consumer)}.${partitionOf(key)}`;
}

/** The subject that all replays to a consumer are below. */
export function replaySubjects(consumer: string): string {
  return `${replayPrefix(consumer)}.>`;
}

function replayPrefix(consumer: string): string {
  return `replay.${consumer.split("__").join(".")}`;
}

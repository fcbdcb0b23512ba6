import type { NatsConnection } from "@nats-io/nats-core";
import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import { type Change, forget, readBucket } from "./bucket.ts";
import { keysOf } from "./entry.ts";
import { EXPIRES_AFTER_MS, MAX_MEMBERS } from "./members.ts";

/** How long a key must have stood still, by our clock, before it is taken out. */
export const STALE_AFTER_MS = 10 * EXPIRES_AFTER_MS;

/** What may be looked at in one go: as many living as there may be, and as many dead. */
const LOOKS_AT = 2 * MAX_MEMBERS;

/** What cleaning up needs. */
export interface CleanOptions {
  readonly service: string;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Takes those keys of a service out of the registry that have stood still for a minute: instances that died, and the
 * marks of those that left. One that says something meanwhile stays. Ends when the signal aborts. Never rejects.
 */
export async function cleanUp(
  connection: NatsConnection,
  { service, log, clock }: CleanOptions,
  signal: AbortSignal,
): Promise<void> {
  let before = new Map<string, number>();
  for (; !signal.aborted; await clock.sleep(STALE_AFTER_MS, signal)) {
    try {
      const changes = await readBucket(connection, keysOf(service), LOOKS_AT, signal);
      await forgetAll(changes.filter(({ key, revision }) => before.get(key) === revision));
      before = new Map(changes.map(({ key, revision }) => [key, revision]));
    } catch (error) {
      if (!signal.aborted) log.debug({ service, error: messageOf(error) }, "could not clean the registry up");
    }
  }

  async function forgetAll(stale: readonly Change[]): Promise<void> {
    for (const change of stale) {
      if (signal.aborted) return;
      await raceSignal(forget(connection, change), signal);
      if (change.value) log.info({ service, key: change.key }, "took a dead instance out of the registry");
    }
  }
}

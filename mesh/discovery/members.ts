import { addressOf, type Endpoint } from "./target.ts";

/** How often an instance says that it is there. Both sides of the registry count with it. */
export const HEARTBEAT_MS = 2_000;

/** How long an instance may be silent: three heartbeats. */
export const EXPIRES_AFTER_MS = 3 * HEARTBEAT_MS;

/** How much longer than the silent one another must have been heard: what the phases of two heartbeats do not explain. */
const OUTLIVED_BY_MS = 1.5 * HEARTBEAT_MS;

/** The most instances of one service. */
export const MAX_MEMBERS = 1_000;

interface Member {
  readonly revision: number;
  readonly endpoint: Endpoint;
  heardMs: number;
  hasExpired: boolean;
}

/**
 * The instances of one service as the registry tells of them, judged by our own clock alone: one that has been silent
 * for three heartbeats has expired if another was heard for long enough after it. So a registry that falls silent as a
 * whole takes nobody away, and the one that was heard last always stays.
 */
export class Members {
  readonly #members = new Map<string, Member>();

  /** An instance was seen. Only a revision that we have not seen is a sign of life. Refused when there are too many. */
  heard(key: string, revision: number, endpoint: Endpoint, nowMs: number): "new" | "known" | "refused" {
    const before = this.#members.get(key);
    if (before?.revision === revision) return "known";
    if (!before && !this.#makeRoom()) return "refused";
    this.#members.set(key, { revision, endpoint, heardMs: nowMs, hasExpired: false });
    const isKnown = before && !before.hasExpired && addressOf(before.endpoint) === addressOf(endpoint);
    return isKnown ? "known" : "new";
  }

  /** An instance took its leave. */
  left(key: string): void {
    this.#members.delete(key);
  }

  /** Gives every instance a full period of grace: for a while we could not have heard it. */
  renew(nowMs: number): void {
    for (const member of this.#present()) member.heardMs = nowMs;
  }

  /** Lets those expire that have been silent for too long, and returns where they were. */
  expire(nowMs: number): readonly Endpoint[] {
    const present = this.#present();
    const lastHeardMs = present.reduce((last, { heardMs }) => Math.max(last, heardMs), 0);
    const expired = present.filter(
      ({ heardMs }) => nowMs - heardMs >= EXPIRES_AFTER_MS && lastHeardMs - heardMs >= OUTLIVED_BY_MS,
    );
    // Kept, so that their last word is not taken for a new one when the registry repeats it.
    for (const member of expired) member.hasExpired = true;
    return expired.map(({ endpoint }) => endpoint);
  }

  /** True if there are instances and none of them was heard within the time after which one expires. */
  areAllSilent(nowMs: number): boolean {
    const present = this.#present();
    return present.length > 0 && present.every(({ heardMs }) => nowMs - heardMs >= EXPIRES_AFTER_MS);
  }

  /** Where the instances are, without those that have expired. */
  endpoints(): readonly Endpoint[] {
    return this.#present().map(({ endpoint }) => endpoint);
  }

  #present(): Member[] {
    return [...this.#members.values()].filter(({ hasExpired }) => !hasExpired);
  }

  #makeRoom(): boolean {
    if (this.#members.size < MAX_MEMBERS) return true;
    for (const [key, { hasExpired }] of this.#members) if (hasExpired) return this.#members.delete(key);
    return false;
  }
}

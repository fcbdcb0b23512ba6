import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Nats, Online } from "../nats/connection.ts";
import { type Change, openBucket, watchBucket } from "./bucket.ts";
import type { Discovery, Found } from "./discover.ts";
import { keysOf, readEndpoint } from "./entry.ts";
import { HEARTBEAT_MS, MAX_MEMBERS, Members } from "./members.ts";
import { addressOf } from "./target.ts";

/** What following the registry needs. */
export interface RegistryOptions {
  readonly nats: Nats;
  readonly log: Log;
  readonly clock?: Clock;
}

const LOOK_EVERY_MS = HEARTBEAT_MS / 2;
const REOPEN_MS = { first: 100, most: 5_000 };

/**
 * Tells who is registered for a service, first when all that is in the registry has been read. Nobody expires while
 * NATS is away, while the registry is silent as a whole, or while this process stood still; after each of these
 * everybody has a full period of grace. The watch is opened again whenever it breaks.
 */
export function watchRegistry(service: string, options: RegistryOptions, found: Found): Discovery {
  const { nats, log, clock = systemClock } = options;
  const members = new Members();
  const stopping = new AbortController();
  const said = new Set<string>();
  let isRead = false;
  let isQuiet = false;
  const running = run();

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      const ended = new AbortController();
      let gone = stopping.signal;
      try {
        const online = await nats.online(stopping.signal);
        gone = AbortSignal.any([stopping.signal, online.lost]);
        await watch(online, AbortSignal.any([gone, ended.signal]), () => {
          failures = 0;
        });
      } catch (error) {
        if (!gone.aborted && failures === 0)
          log.warn({ error: messageOf(error) }, "watches the registry again");
      } finally {
        ended.abort();
      }
      await clock.sleep(Math.min(REOPEN_MS.first * 2 ** failures, REOPEN_MS.most), stopping.signal);
    }
  }

  async function watch(online: Online, signal: AbortSignal, begun: () => void): Promise<void> {
    await openBucket(online, signal);
    members.renew(clock.now());
    await watchBucket(online.connection, keysOf(service), signal, {
      changed,
      caughtUp() {
        begun();
        isRead = true;
        tell();
        expireWhile(signal);
      },
    });
  }

  function changed({ key, revision, value }: Change): void {
    const endpoint = value && readEndpoint(value);
    if (endpoint) {
      const outcome = members.heard(key, revision, endpoint, clock.now());
      if (outcome === "refused") sayOnce("ignores instances: there are too many", { most: MAX_MEMBERS });
      if (outcome === "new") tell();
    } else if (value) sayOnce("ignores an entry of the registry that cannot be read", { key });
    else {
      members.left(key);
      tell();
    }
  }

  async function expireWhile(signal: AbortSignal): Promise<void> {
    for (let lookedMs = clock.now(); !signal.aborted; ) {
      await clock.sleep(LOOK_EVERY_MS, signal);
      if (signal.aborted) return;
      const nowMs = clock.now();
      // We stood still, and may have unread heartbeats.
      if (nowMs - lookedMs > HEARTBEAT_MS) members.renew(nowMs);
      lookedMs = nowMs;
      const expired = members.expire(nowMs);
      for (const endpoint of expired)
        log.warn({ endpoint: addressOf(endpoint) }, "an instance is silent; left out");
      if (expired.length > 0) tell();
      const wasQuiet = isQuiet;
      isQuiet = members.areAllSilent(nowMs);
      if (isQuiet && !wasQuiet) log.warn("every instance is silent; keeps the list");
    }
  }

  function tell(): void {
    if (isRead) found(members.endpoints());
  }

  function sayOnce(what: string, about: object): void {
    if (said.has(what)) return;
    said.add(what);
    log.warn(about, what);
  }

  return {
    // What changes is told at once.
    refresh() {},
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

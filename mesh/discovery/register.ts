import { isIP } from "node:net";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";
import { raceSignal } from "../core/race.ts";
import type { Nats } from "../nats/connection.ts";
import { openBucket, removeKey } from "./bucket.ts";
import { cleanUp } from "./clean.ts";
import { encodeEntry, keyOf } from "./entry.ts";
import { HEARTBEAT_MS } from "./members.ts";
import { addressOf, type Endpoint, isEndpoint, isServiceName } from "./target.ts";

/** Who registers, for what. */
export interface RegisterOptions {
  readonly nats: Nats;
  /** The name that callers write in `nats:///`. */
  readonly service: string;
  /** Names this process among those of its service. */
  readonly instance: string;
  /** Where callers reach this process: not where it listens, if that is every address. */
  readonly endpoint: Endpoint;
  readonly log: Log;
  readonly clock?: Clock;
}

const RETRY_MS = { first: 100, most: 2_000 };
const LEAVE_WITHIN_MS = 1_000;

/**
 * Says in the registry that an instance is there, and again every two seconds, for ever: also after NATS was away or
 * the registry was lost. Call it when the instance can serve. `stop` takes it out and resolves within a second, even
 * if NATS is away; then the entry expires by itself. Throws at once if nobody could be called there.
 */
export function register(options: RegisterOptions): Running {
  const { nats, service, instance, endpoint, clock = systemClock } = options;
  if (!isServiceName(service)) throw new Error(`"${service}" is no name of a service`);
  if (!isEndpoint(endpoint) || isEveryAddress(endpoint.host))
    throw new Error(
      `nobody can call ${addressOf(endpoint)}: the registry needs an address that others reach`,
    );
  const entry = { endpoint, instance, startedAt: clock.date().toISOString() };
  const [key, value] = [keyOf(service, entry), encodeEntry(entry)];
  const log = options.log.child({ service, endpoint: addressOf(endpoint) });

  const stopping = new AbortController();
  let mayBeThere = false;
  let stopped: Promise<void> | undefined;
  const running = run();

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      const ended = new AbortController();
      let gone = stopping.signal;
      let cleaning: Promise<void> | undefined;
      try {
        const online = await nats.online(stopping.signal);
        gone = AbortSignal.any([stopping.signal, online.lost]);
        const signal = AbortSignal.any([gone, ended.signal]);
        const bucket = await openBucket(online, signal);
        for (let beats = 0; !signal.aborted; beats++) {
          mayBeThere = true;
          await raceSignal(bucket.put(key, value), signal);
          failures = 0;
          if (beats === 0) log.info("registered");
          cleaning ??= cleanUp(online.connection, { service, log, clock }, signal);
          await clock.sleep(HEARTBEAT_MS, signal);
        }
      } catch (error) {
        if (!gone.aborted && failures === 0) log.warn({ error: messageOf(error) }, "registers again");
      } finally {
        ended.abort();
        await cleaning;
      }
      await clock.sleep(Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.most), stopping.signal);
    }
  }

  /** After the last heartbeat, on the connection that carried it: the broker takes them in this order. */
  async function leave(): Promise<void> {
    await running;
    if (!mayBeThere) return;
    const late = new AbortController();
    const cancel = clock.after(LEAVE_WITHIN_MS, () => late.abort(new Error("NATS does not answer")));
    try {
      const { connection, lost } = await nats.online(late.signal);
      await raceSignal(removeKey(connection, key), AbortSignal.any([late.signal, lost]));
      log.info("left the registry");
    } catch (error) {
      log.warn({ error: messageOf(error) }, "could not leave the registry; its entry expires");
    } finally {
      cancel();
    }
  }

  return {
    stop() {
      stopping.abort();
      stopped ??= leave();
      return stopped;
    },
  };
}

function isEveryAddress(host: string): boolean {
  return isIP(host) !== 0 && /^[0:.]+$/.test(host);
}

import { lookup as resolve } from "node:dns/promises";
import { type Clock, systemClock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import { raceSignal } from "../core/race.ts";
import type { Discovery, Found } from "./discover.ts";
import type { Endpoint } from "./target.ts";

/** Answers with every IP address of a name. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** How a name is followed. */
export interface DnsOptions {
  readonly log: Log;
  readonly clock?: Clock;
  /** Defaults to the system's resolver: hosts file, A and AAAA. */
  readonly lookup?: Lookup;
  /** How often the name is looked up again. Milliseconds. Defaults to 30,000. */
  readonly refreshMs?: number;
}

const REFRESH_MS = 30_000;
const AT_MOST_EVERY_MS = 1_000;
const RETRY_MS = { first: 100, most: 5_000 };

const systemLookup: Lookup = async (host) =>
  (await resolve(host, { all: true })).map(({ address }) => address);

/**
 * Tells of each address of a name, on the one port, after every look-up that finds some. One that fails or finds none
 * changes nothing; before the first good one it is tried again after 100 ms, later up to 5 s.
 */
export function watchDns({ host, port }: Endpoint, options: DnsOptions, found: Found): Discovery {
  const { log, clock = systemClock, lookup = systemLookup, refreshMs = REFRESH_MS } = options;
  const stopping = new AbortController();
  let refreshing = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    let isKnown = false;
    for (let failures = 0; !stopping.signal.aborted; ) {
      const beganMs = clock.now();
      try {
        const addresses = await raceSignal(ask(), stopping.signal);
        if (addresses.length === 0) throw new Error("the name has no address");
        if (failures > 0) log.info("the name is found again");
        failures = 0;
        isKnown = true;
        found(addresses.map((address) => ({ host: address, port })));
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures++;
        if (failures === 1) log.warn({ error: messageOf(error) }, "the name is not found");
      }
      const retryMs = Math.min(RETRY_MS.first * 2 ** (failures - 1), RETRY_MS.most);
      const waitMs = isKnown ? refreshMs : retryMs;
      // Only now: the look-up that has just ended has answered whoever asked before.
      refreshing = new AbortController();
      await clock.sleep(waitMs, AbortSignal.any([stopping.signal, refreshing.signal]));
      const earliestMs = Math.min(AT_MOST_EVERY_MS, waitMs);
      await clock.sleep(beganMs + earliestMs - clock.now(), stopping.signal);
    }
  }

  /** Also turns what a look-up throws at once into a failed one. */
  async function ask(): Promise<readonly string[]> {
    return lookup(host);
  }

  return {
    refresh: () => refreshing.abort(),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

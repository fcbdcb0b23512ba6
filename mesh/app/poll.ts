import type { Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { Log } from "../core/log.ts";
import type { Running } from "../core/process.ts";

/** What is read again and again, for gauges to show. */
export interface Polled<T> extends Running {
  /** What was read last, and how long ago. Undefined until something was. */
  last(): { readonly value: T; readonly agoMs: number } | undefined;
}

/** What to read, and how often. */
export interface PollOptions<T> {
  /** As the log names it. */
  readonly what: string;
  read(signal: AbortSignal): Promise<T>;
  readonly everyMs: number;
  readonly log: Log;
  readonly clock: Clock;
}

/** Reads something now and then every so often. What was read last stays when that fails, and the log says so. */
export function poll<T>({ what, read, everyMs, log, clock }: PollOptions<T>): Polled<T> {
  const stopping = new AbortController();
  let seen: { readonly value: T; readonly atMs: number } | undefined;
  const running = run();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const value = await read(stopping.signal);
        seen = { value, atMs: clock.now() };
      } catch (error) {
        if (!stopping.signal.aborted) log.warn({ error: messageOf(error) }, `could not measure ${what}`);
      }
      await clock.sleep(everyMs, stopping.signal);
    }
  }

  return {
    last: () => seen && { value: seen.value, agoMs: clock.now() - seen.atMs },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

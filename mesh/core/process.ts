import { ConfigError } from "./config.ts";
import { createLog } from "./log.ts";

/** Something that runs until it is stopped. */
export interface Running {
  /** Says that it goes, and resolves when those who are to know have had the time to. Goes on until it is stopped. */
  leave?(): Promise<void>;
  /** Ends it in order: refuses new work, finishes what it began, lets go of what it holds. */
  stop(): Promise<void>;
}

/** What runs for as long as its process. */
export interface Lasting extends Running {
  /** How long its end waits for what it has begun. Milliseconds. */
  readonly finishWithinMs: number;
}

/** How long work that has begun may take to end when a process stops, unless a setting says otherwise. Milliseconds. */
export const FINISH_WITHIN_MS = 4_000;

/** How long the rest of an orderly end may take before the process is ended all the same. */
const REST_WITHIN_MS = 3_000;

/**
 * Starts a service and stops it on SIGTERM, SIGINT, or when the process that started it is gone. Exits with 0 after an
 * orderly end, with 1 if it cannot start, fails, or does not end in the time that it gives what it has begun, and three
 * seconds.
 */
export async function runUntilStopped(
  service: string,
  start: () => Promise<Running | Lasting>,
): Promise<void> {
  const log = createLog({ service, instance: process.env.INSTANCE ?? service, level: "info" });
  const fail = (what: string) => (error: unknown) => {
    if (error instanceof ConfigError) log.fatal(error.message);
    else log.fatal({ err: error }, what);
    process.exit(1);
  };
  process.once("uncaughtException", fail("ends: an error that nobody caught"));
  process.once("unhandledRejection", fail("ends: a rejection that nobody handled"));

  const asked = Promise.withResolvers<string>();
  for (const event of ["SIGTERM", "SIGINT", "disconnect"] as const) {
    // Kept for good: a second signal must not end a process that is stopping in order.
    process.on(event, () => asked.resolve(event));
  }
  const running = await Promise.race([
    start().catch(fail("cannot start")),
    asked.promise.then(() => undefined),
  ]);
  const why = await asked.promise;
  log.info({ why }, "stops");
  await running?.leave?.().catch(fail("failed while leaving"));
  // Asked while it still waited for a part that is away: then there is nothing to end in order.
  if (!running) process.exit(0);
  const finishWithinMs = "finishWithinMs" in running ? running.finishWithinMs : FINISH_WITHIN_MS;
  setTimeout(fail("ends: did not stop in time"), finishWithinMs + REST_WITHIN_MS).unref();
  await running.stop().catch(fail("failed while stopping"));
  process.exit(0);
}

import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Supervised } from "./supervise.ts";

const POLL_MS = 50;
const PROBE_TIMEOUT_MS = 2000;
const QUOTED_LINES = 12;
// A service that dies this often before it was ever well has a fault that waiting does not cure.
const MAX_RESTARTS = 4;

/** True if the process on this port of 127.0.0.1 answers 200 on /healthz. Never throws. */
export function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // No agent: a kept connection would hold up the service when it drains.
    const request = get(
      { host: "127.0.0.1", port, path: "/healthz", agent: false, timeout: PROBE_TIMEOUT_MS },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.once("timeout", () => request.destroy(new Error("timeout")));
    request.once("error", () => resolve(false));
  });
}

/** Returns once the process is healthy; throws, quoting its last lines, if it keeps dying or takes too long. */
export async function untilHealthy(
  { supervised, port }: { readonly supervised: Supervised; readonly port: number },
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  const restartsBefore = supervised.restarts;
  while (!(await isHealthy(port))) {
    signal?.throwIfAborted();
    if (supervised.restarts - restartsBefore >= MAX_RESTARTS) throw failure(supervised, "does not stay up");
    if (performance.now() > endMs) {
      throw failure(
        supervised,
        `is not healthy after ${timeoutMs / 1000} s (http://127.0.0.1:${port}/healthz)`,
      );
    }
    await sleep(POLL_MS);
  }
}

function failure({ name, lastLines }: Supervised, what: string): Error {
  const lines = lastLines.slice(-QUOTED_LINES).map((line) => `  ${line}`);
  return new Error(
    `${name} ${what}. ${lines.length > 0 ? `Its last lines:\n${lines.join("\n")}` : "It has said nothing."}`,
  );
}

import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;
const ANSWER_WITHIN_MS = 2_000;

/** Whom an instance must have found. */
export interface DiscoveredOptions {
  /** The name of the instance, for people. */
  readonly instance: string;
  /** Of 127.0.0.1. */
  readonly port: number;
  /** How many instances of a service run, by its name in `nats:///`. */
  readonly running: (service: string) => number;
  /** What AdminService asks operators for; empty if nothing. */
  readonly operatorToken: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface State {
  readonly targets?: readonly { readonly target: string; readonly endpoints?: readonly unknown[] }[];
}

/**
 * Returns once an instance knows every instance that runs of those services which it looks up in the registry. A healthy
 * one may not yet: who has just started is found a moment later. Throws if it takes too long.
 */
export async function untilDiscovered(options: DiscoveredOptions): Promise<void> {
  const { instance, timeoutMs, signal } = options;
  for (const endMs = performance.now() + timeoutMs; ; ) {
    signal?.throwIfAborted();
    const missing = await missed(options);
    if (missing.length === 0) return;
    if (performance.now() > endMs) {
      throw new Error(`${instance} has not found ${missing.join(", ")} after ${timeoutMs / 1000} s`);
    }
    await sleep(POLL_MS);
  }
}

/** The targets that it does not know in full, or a word for all of them if it does not tell. */
async function missed({ port, running, operatorToken }: DiscoveredOptions): Promise<readonly string[]> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/mesh.admin.v1.AdminService/GetState`, {
      method: "POST",
      // Not kept: a connection that stands would hold up the service when it drains.
      headers: {
        "content-type": "application/json",
        "mesh-operator-token": operatorToken,
        connection: "close",
      },
      body: "{}",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (!answer.ok) return ["its targets"];
    const { targets = [] } = (await answer.json()) as State;
    return targets
      .filter(({ target, endpoints = [] }) => {
        const [, service] = /^nats:\/\/\/(.*)$/.exec(target) ?? [];
        return service !== undefined && endpoints.length < running(service);
      })
      .map(({ target }) => target);
  } catch {
    return ["its targets"];
  }
}

import { ITEMS } from "./contract.ts";
import type { Chat, Client } from "./peer.ts";

/** Streams that are open. */
export interface Held {
  readonly streams: number;
  /** Why there are no more, if there are fewer than were asked for. */
  readonly error: string | undefined;
}

const AT_ONCE = 100;

/**
 * Opens so many streams, each of which has carried one item to and fro, and leaves them open. Undefined if the client has
 * no streams. Stops at the first that cannot be opened, and waits for no answer longer than some seconds.
 */
export async function holdStreams(
  { chat }: Client,
  count: number,
  withinMs: number,
): Promise<Held | undefined> {
  if (!chat) return undefined;
  const held: Chat[] = [];
  const open = async () => {
    const opened = chat();
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("no answer")), withinMs);
    try {
      await Promise.race([opened.say(ITEMS["20 B"]), late.promise]);
      held.push(opened);
    } finally {
      clearTimeout(timer);
    }
  };
  while (held.length < count) {
    const opening = Array.from({ length: Math.min(AT_ONCE, count - held.length) }, open);
    const failure = (await Promise.allSettled(opening)).find(({ status }) => status === "rejected");
    if (failure) return { streams: held.length, error: String((failure as PromiseRejectedResult).reason) };
  }
  return { streams: held.length, error: undefined };
}

/** What a process needs when nothing is left to be collected, in bytes. Needs `--expose-gc`. */
export interface Memory {
  /** Of the whole process, as the system counts it. */
  readonly resident: number;
  /** Of JavaScript: objects, and the buffers outside of the heap. */
  readonly heap: number;
}

/** Collects garbage, twice because what finalizers let go of is only then free. */
export async function settledMemory(): Promise<Memory> {
  for (let i = 0; i < 2; i++) {
    globalThis.gc?.();
    await new Promise(setImmediate);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return { resident: rss, heap: heapUsed + external };
}

import type { Clock } from "../core/clock.ts";

/** Notices that a stream is silent. */
export interface IdleTimer {
  /** A message came or went. */
  touch(): void;
  /** Nothing is expected: the reader has not asked for more. */
  pause(): void;
  /** The reader asks for more. */
  resume(): void;
  stop(): void;
}

/** For what is not watched. */
export const NO_IDLE_TIMER: IdleTimer = { touch() {}, pause() {}, resume() {}, stop() {} };

/** Calls `onIdle` when nothing happened for `idleMs`. A touch costs no timer: the one that runs looks at the time. */
export function idleTimer(clock: Clock, idleMs: number, onIdle: () => void): IdleTimer {
  if (idleMs === Number.POSITIVE_INFINITY) return NO_IDLE_TIMER;
  let lastMs = clock.now();
  let isPaused = false;
  let cancel = clock.after(idleMs, look);

  function look(): void {
    const leftMs = isPaused ? idleMs : lastMs + idleMs - clock.now();
    if (leftMs <= 0) onIdle();
    else cancel = clock.after(leftMs, look);
  }

  return {
    touch() {
      lastMs = clock.now();
    },
    pause() {
      isPaused = true;
    },
    resume() {
      isPaused = false;
      lastMs = clock.now();
    },
    stop: () => cancel(),
  };
}

/** The messages as they are, each of them noticed. */
export async function* touching<T>(messages: AsyncIterable<T>, idle: IdleTimer): AsyncGenerator<T> {
  for await (const message of messages) {
    idle.touch();
    yield message;
  }
}

/**
 * The messages as they are, until the stream ends or is lost: `lostBy` is given the function that ends it with an
 * error, whatever the transport does, though nobody reads yet. `end` runs when nobody reads any more.
 */
export function untilLost<T>(
  messages: AsyncIterable<T>,
  idle: IdleTimer,
  end: () => void,
  lostBy: (onLost: (error: unknown) => void) => void,
): AsyncGenerator<T> {
  let lost: { readonly error: unknown } | undefined;
  lostBy((error) => {
    lost = { error };
  });
  async function* watched(): AsyncGenerator<T> {
    const iterator = messages[Symbol.asyncIterator]();
    try {
      for (;;) {
        if (lost) throw lost.error;
        const { done, value } = await new Promise<IteratorResult<T>>((resolve, reject) => {
          lostBy((error) => {
            lost = { error };
            reject(error);
          });
          iterator.next().then(resolve, reject);
        });
        if (done) return;
        idle.touch();
        idle.pause();
        yield value;
        idle.resume();
      }
    } finally {
      end();
      // Not awaited: a transport that does not end its messages must not hold the reader.
      iterator.return?.()?.then(undefined, () => {});
    }
  }
  return watched();
}

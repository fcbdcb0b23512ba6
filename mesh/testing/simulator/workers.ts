import type { Clock } from "../../core/clock.ts";

/** What does the work of a server, one piece at a time each. */
export interface Workers {
  /**
   * Waits for a free one, first come first served, and has it work so long. Resolves when it is done. Work that has
   * begun is always finished; what waits is thrown away if its signal has aborted when its turn comes.
   */
  work(lengthMs: () => number, gone?: AbortSignal): Promise<void>;
  /** Spent so far on what is done. Milliseconds. */
  readonly workedMs: number;
  /** The part of it whose caller had gone before it was done. Milliseconds. */
  readonly wastedMs: number;
}

interface Job {
  readonly lengthMs: () => number;
  readonly gone: AbortSignal | undefined;
  readonly done: () => void;
}

/** What workers may do besides. */
export interface WorkersOptions {
  /** Whether what waits is done though its caller has gone. Defaults to no. */
  readonly worksForNobody?: boolean;
}

/** So many workers with one queue that has no end. */
export function workers(
  count: number,
  clock: Clock,
  { worksForNobody = false }: WorkersOptions = {},
): Workers {
  let queue: Job[] = [];
  let head = 0;
  let busy = 0;
  let workedMs = 0;
  let wastedMs = 0;

  function begin({ lengthMs, gone, done }: Job): void {
    busy++;
    const ms = lengthMs();
    clock.after(ms, () => {
      busy--;
      workedMs += ms;
      if (gone?.aborted) wastedMs += ms;
      done();
      next();
    });
  }

  function next(): void {
    while (busy < count && head < queue.length) {
      const job = queue[head++] as Job;
      if (job.gone?.aborted && !worksForNobody) job.done();
      else begin(job);
    }
    if (head > 1_000) {
      queue = queue.slice(head);
      head = 0;
    }
  }

  return {
    work(lengthMs, gone) {
      return new Promise((done) => {
        queue.push({ lengthMs, gone, done });
        next();
      });
    },
    get workedMs() {
      return workedMs;
    },
    get wastedMs() {
      return wastedMs;
    },
  };
}

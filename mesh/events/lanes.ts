/**
 * A piece of work. It may give its turn away when it has nothing to do but wait: then one of another lane begins. Must not
 * reject: what fails is its own to handle.
 */
export type Piece = (giveTurn: () => void) => Promise<void>;

// Enough to keep busy while one waits; more would hold what others need.
const MOST_WAITING = 1;

/**
 * Runs work in lanes: one piece after the other within a lane, lanes side by side, at most `concurrency` at a time, and
 * one that has given its turn away. Lanes begin in the order in which their work came.
 */
export class Lanes {
  readonly #concurrency: number;
  readonly #lanes = new Map<string, Piece[]>();
  readonly #ready: string[] = [];
  #running = 0;
  #waiting = 0;
  #onEnd: (() => void)[] = [];

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  /** Puts work at the end of a lane. */
  push(lane: string, work: Piece): void {
    const queue = this.#lanes.get(lane);
    if (queue) {
      queue.push(work);
      return;
    }
    this.#lanes.set(lane, [work]);
    this.#ready.push(lane);
    this.#start();
  }

  /** Forgets the work that has not begun, and returns how much that was. */
  clear(): number {
    let cleared = 0;
    for (const queue of this.#lanes.values()) cleared += queue.splice(0).length;
    return cleared;
  }

  /** Resolves when nothing runs or waits. */
  async settled(): Promise<void> {
    while (this.#lanes.size > 0) {
      await new Promise<void>((resolve) => this.#onEnd.push(resolve));
    }
  }

  #start(): void {
    while (this.#running < this.#concurrency) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      this.#running++;
      void this.#run(lane);
    }
  }

  /** One piece, then to the end of the line, so that a busy lane does not keep the others waiting. */
  async #run(lane: string): Promise<void> {
    const queue = this.#lanes.get(lane);
    const work = queue?.shift();
    let hasTurn = true;
    const giveTurn = () => {
      if (!hasTurn || this.#waiting >= MOST_WAITING) return;
      hasTurn = false;
      this.#running--;
      this.#waiting++;
      this.#start();
    };
    try {
      await work?.(giveTurn);
    } finally {
      if (hasTurn) this.#running--;
      else this.#waiting--;
      hasTurn = false;
      if (queue?.length) this.#ready.push(lane);
      else this.#lanes.delete(lane);
      this.#start();
      for (const resolve of this.#onEnd.splice(0)) resolve();
    }
  }
}

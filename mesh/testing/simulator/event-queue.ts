/** Something that is to happen. */
export interface Event {
  readonly atMs: number;
  /** Undefined once it was called off. */
  act: (() => void) | undefined;
}

/** What is to happen, by time; at the same time, in the order in which it was planned. */
export interface EventQueue {
  plan(atMs: number, act: () => void): Event;
  /** Takes out the next event that is due by then; undefined if there is none. */
  next(untilMs: number): Event | undefined;
}

interface Planned extends Event {
  readonly order: number;
}

/** A binary heap. An event that was called off is dropped when its turn comes. */
export function eventQueue(): EventQueue {
  const heap: Planned[] = [];
  let order = 0;

  const isBefore = (a: Planned, b: Planned) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

  function up(event: Planned): void {
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as Planned;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = event;
  }

  function down(event: Planned): void {
    const { length } = heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1] as Planned, heap[child] as Planned)) child++;
      const below = heap[child] as Planned;
      if (!isBefore(below, event)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = event;
  }

  return {
    plan(atMs, act) {
      const event: Planned = { atMs, act, order: order++ };
      up(event);
      return event;
    },
    next(untilMs) {
      for (;;) {
        const [first] = heap;
        if (!first || (first.act && first.atMs > untilMs)) return undefined;
        const last = heap.pop() as Planned;
        if (heap.length > 0) down(last);
        if (first.act) return first;
      }
    },
  };
}

/** Counts up. */
export interface Counter {
  /** Adds to the count, 1 unless told otherwise. What is negative, endless or no number is left out. */
  add(by?: number): void;
}

/** A counter that can be read. */
export interface CounterSeries extends Counter {
  read(): number;
}

/** A series that counts up from zero. */
export function counterSeries(): CounterSeries {
  let total = 0;
  return {
    add(by = 1) {
      if (by > 0 && by < Number.POSITIVE_INFINITY) total += by;
    },
    read: () => total,
  };
}

/** What a histogram holds: how many values lie in each bucket, of which the last has no upper bound. */
export interface HistogramPoint {
  readonly buckets: { readonly boundaries: number[]; readonly counts: number[] };
  readonly sum: number;
  readonly count: number;
}

/** Sorts values into buckets. */
export interface Histogram {
  /** Takes a value. What is negative, endless or no number is left out. */
  record(value: number): void;
}

/** A histogram that can be read. */
export interface HistogramSeries extends Histogram {
  read(): HistogramPoint;
}

/** A series that sorts values into buckets; each boundary belongs to the bucket below it. */
export function histogramSeries(boundaries: readonly number[]): HistogramSeries {
  const counts = new Array<number>(boundaries.length + 1).fill(0);
  let sum = 0;
  return {
    record(value) {
      if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) return;
      const bucket = bucketOf(boundaries, value);
      counts[bucket] = (counts[bucket] ?? 0) + 1;
      sum += value;
    },
    read: () => ({
      buckets: { boundaries: [...boundaries], counts: [...counts] },
      sum,
      count: counts.reduce((total, count) => total + count, 0),
    }),
  };
}

function bucketOf(boundaries: readonly number[], value: number): number {
  let low = 0;
  let high = boundaries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((boundaries[middle] as number) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

import {
  type Counter,
  type CounterSeries,
  counterSeries,
  type Histogram,
  type HistogramPoint,
  type HistogramSeries,
  histogramSeries,
} from "./counts.ts";
import {
  type Attributes,
  type AttributesOf,
  type CounterName,
  type GaugeName,
  type HistogramName,
  INSTRUMENTS,
} from "./instruments.ts";
import { keptAttributes, keyOf, MAX_SERIES, OVERFLOW, type SeriesSet, seriesSet } from "./series.ts";

/** What a gauge shows at the time it is asked. */
export interface GaugeValue<N extends GaugeName> {
  readonly value: number;
  readonly attributes: AttributesOf<N>;
}

/** How code says what happened. Nothing of it throws. */
export interface Meter {
  /** Counts something, once unless told otherwise. */
  count<N extends CounterName>(name: N, attributes: AttributesOf<N>, by?: number): void;
  /** Records a value, in the instrument's unit. */
  record<N extends HistogramName>(name: N, value: number, attributes: AttributesOf<N>): void;
  /** Has `read` asked for what a gauge shows, each time somebody looks. Returns what ends that; safe to call twice. */
  gauge<N extends GaugeName>(name: N, read: () => Iterable<GaugeValue<N>>): () => void;
  /** A counter with its attributes, to be kept where every call is counted: ten times as fast as {@link count}. */
  counter<N extends CounterName>(name: N, attributes: AttributesOf<N>): Counter;
  /** A histogram with its attributes, to be kept where every call is recorded. */
  histogram<N extends HistogramName>(name: N, attributes: AttributesOf<N>): Histogram;
}

/** What is measured in this process. A series is a few numbers, so that counting costs next to nothing. */
export interface Metrics extends Meter {
  /** All that was measured so far, and what the gauges failed with. */
  read(): Readings;
}

/** All that was measured, by instrument and series. An instrument without a series is left out. */
export interface Readings {
  readonly counters: readonly Reading<CounterName, number>[];
  readonly histograms: readonly Reading<HistogramName, HistogramPoint>[];
  readonly gauges: readonly Reading<GaugeName, number>[];
  readonly errors: readonly unknown[];
}

/** The series of one instrument. */
export interface Reading<N extends string, V> {
  readonly name: N;
  readonly points: readonly (readonly [Attributes, V])[];
}

/** Measures nothing. */
export const noMetrics: Meter = {
  count() {},
  record() {},
  gauge: () => () => {},
  counter: () => ({ add() {} }),
  histogram: () => ({ record() {} }),
};

/** Begins to measure. The attribute `endpoint` tells series apart if `keepsEndpoints`. */
export function startMetrics({ keepsEndpoints }: { keepsEndpoints: boolean }): Metrics {
  const keeps = (attribute: string) => keepsEndpoints || attribute !== "endpoint";
  const counters = new Map<CounterName, SeriesSet<CounterSeries>>();
  const histograms = new Map<HistogramName, SeriesSet<HistogramSeries>>();
  const gauges = new Map<GaugeName, Set<() => Iterable<GaugeValue<GaugeName>>>>();

  function counter(name: CounterName, attributes: Attributes): CounterSeries {
    let series = counters.get(name);
    if (!series) {
      series = seriesSet(counterSeries, keeps);
      counters.set(name, series);
    }
    return series.at(attributes);
  }

  function histogram(name: HistogramName, attributes: Attributes): HistogramSeries {
    let series = histograms.get(name);
    if (!series) {
      series = seriesSet(() => histogramSeries(INSTRUMENTS[name].boundaries), keeps);
      histograms.set(name, series);
    }
    return series.at(attributes);
  }

  return {
    count: (name, attributes, by) => counter(name, attributes).add(by),
    record: (name, value, attributes) => histogram(name, attributes).record(value),
    counter,
    histogram,
    gauge(name, read) {
      const readers = gauges.get(name) ?? new Set();
      gauges.set(name, readers);
      // A function of its own, so that the same one given twice counts twice, and each ends its own.
      const reader = () => read();
      readers.add(reader);
      return () => void readers.delete(reader);
    },
    read() {
      const errors: unknown[] = [];
      return {
        counters: readAll(counters),
        histograms: readAll(histograms),
        gauges: [...gauges].map(([name, readers]) => ({
          name,
          points: readGauge(readers, INSTRUMENTS[name].merge, keeps, errors),
        })),
        errors,
      };
    },
  };
}

function readAll<N extends string, V>(
  instruments: ReadonlyMap<N, SeriesSet<{ read(): V }>>,
): Reading<N, V>[] {
  return [...instruments].map(([name, series]) => ({
    name,
    points: [...series.entries()].map(([attributes, each]) => [attributes, each.read()] as const),
  }));
}

/** Asks the readers of a gauge. One that fails leaves out its own values only. */
function readGauge(
  readers: Iterable<() => Iterable<GaugeValue<GaugeName>>>,
  merge: "sum" | "max",
  keeps: (attribute: string) => boolean,
  errors: unknown[],
): Reading<string, number>["points"] {
  const points = new Map<string, readonly [Attributes, number]>();
  for (const read of readers) {
    try {
      for (const { value, attributes } of read()) {
        const own = keptAttributes(attributes, keeps);
        const isTooMany = points.size >= MAX_SERIES - 1 && !points.has(keyOf(own));
        const kept = isTooMany ? OVERFLOW : own;
        const other = points.get(keyOf(kept))?.[1];
        const merged = other === undefined ? value : merge === "sum" ? other + value : Math.max(other, value);
        points.set(keyOf(kept), [kept, merged]);
      }
    } catch (error) {
      errors.push(error);
    }
  }
  return [...points.values()];
}

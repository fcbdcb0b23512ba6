import { expect, test } from "vitest";
import { startMetrics } from "./metrics.ts";
import { MAX_SERIES } from "./series.ts";

const start = (keepsEndpoints = false) => startMetrics({ keepsEndpoints });

test("what is counted by name and by a kept series is one count", () => {
  const metrics = start();
  const kept = metrics.counter("mesh.hedge.wins", { target: "t", "rpc.method": "m" });
  kept.add();
  metrics.count("mesh.hedge.wins", { "rpc.method": "m", target: "t" });
  metrics.count("mesh.hedge.wins", { target: "t", "rpc.method": "m" }, 3);
  expect(metrics.read().counters).toEqual([
    { name: "mesh.hedge.wins", points: [[{ "rpc.method": "m", target: "t" }, 5]] },
  ]);
});

test("a value is recorded in the buckets of its instrument", () => {
  const metrics = start();
  metrics.record("grpc.client.call.retries", 2, { "grpc.method": "m", "grpc.target": "t" });
  const [histogram] = metrics.read().histograms;
  expect(histogram?.points[0]?.[1]).toEqual({
    buckets: { boundaries: [1, 2, 3, 4, 5], counts: [0, 1, 0, 0, 0, 0] },
    sum: 2,
    count: 1,
  });
});

test("an endpoint is left out unless it is asked for", () => {
  for (const keepsEndpoints of [false, true]) {
    const metrics = start(keepsEndpoints);
    metrics.count("mesh.breaker.rejected", { target: "t", endpoint: "10.0.0.1:1" });
    metrics.count("mesh.breaker.rejected", { target: "t", endpoint: "10.0.0.2:1" });
    expect(metrics.read().counters[0]?.points).toHaveLength(keepsEndpoints ? 2 : 1);
  }
});

test("a gauge is asked each time, until that is ended", () => {
  const metrics = start();
  let inflight = 3;
  const end = metrics.gauge("mesh.server.inflight", () => [{ value: inflight, attributes: {} }]);
  const shown = () => metrics.read().gauges[0]?.points;
  expect(shown()).toEqual([[{}, 3]]);
  inflight = 4;
  expect(shown()).toEqual([[{}, 4]]);
  end();
  end();
  expect(shown()).toEqual([]);
});

test("values of a gauge that fall together are their sum or the greatest of them", () => {
  const metrics = start();
  const at = (...values: number[]) =>
    values.map((value, i) => ({ value, attributes: { target: "t", endpoint: `e${i}` } }));
  metrics.gauge("mesh.breaker.state", () => at(0, 2, 1));
  metrics.gauge("mesh.lb.endpoint.pending", () => at(3, 4));
  metrics.gauge("mesh.lb.endpoint.pending", () => at(5));
  expect(metrics.read().gauges.map(({ name, points }) => [name, points[0]?.[1]])).toEqual([
    ["mesh.breaker.state", 2],
    ["mesh.lb.endpoint.pending", 12],
  ]);
});

test("one reader given twice counts twice, and each end ends one", () => {
  const metrics = start();
  const read = () => [{ value: 1, attributes: {} }];
  const end = metrics.gauge("mesh.server.inflight", read);
  metrics.gauge("mesh.server.inflight", read);
  expect(metrics.read().gauges[0]?.points).toEqual([[{}, 2]]);
  end();
  expect(metrics.read().gauges[0]?.points).toEqual([[{}, 1]]);
});

test("a reader that fails leaves the others as they are", () => {
  const metrics = start();
  const broken = new Error("broken");
  metrics.gauge("mesh.server.limit", () => {
    throw broken;
  });
  metrics.gauge("mesh.server.limit", () => [{ value: 8, attributes: {} }]);
  const { gauges, errors } = metrics.read();
  expect(gauges[0]?.points).toEqual([[{}, 8]]);
  expect(errors).toEqual([broken]);
});

test("a gauge has no more series than allowed; the rest is one", () => {
  const metrics = start();
  metrics.gauge("mesh.server.inflight", () =>
    Array.from({ length: MAX_SERIES + 9 }, (_, i) => ({ value: 1, attributes: { class: String(i) } })),
  );
  const points = metrics.read().gauges[0]?.points ?? [];
  expect(points).toHaveLength(MAX_SERIES);
  expect(points.at(-1)).toEqual([{ "otel.metric.overflow": true }, 10]);
});

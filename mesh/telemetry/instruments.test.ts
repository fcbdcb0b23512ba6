import { expect, test } from "vitest";
import { INSTRUMENTS } from "./instruments.ts";

const instruments = Object.entries(INSTRUMENTS);

test("the names are those of the specification", () => {
  expect(instruments.map(([name]) => name).sort()).toEqual(
    [
      ["rpc.client.call.duration", "rpc.server.call.duration"],
      ["started", "duration"].map((name) => `grpc.client.attempt.${name}`),
      ["duration", "retries", "transparent_retries"].map((name) => `grpc.client.call.${name}`),
      ["hedges", "retry_delay"].map((name) => `grpc.client.call.${name}`),
      ["started", "duration"].map((name) => `grpc.server.call.${name}`),
      ["retry.budget.balance", "retry.suppressed", "hedge.wins"].map((name) => `mesh.${name}`),
      ["state", "transitions", "rejected"].map((name) => `mesh.breaker.${name}`),
      ["inflight", "limit", "rejected"].map((name) => `mesh.bulkhead.${name}`),
      ["cost", "pending", "share"].map((name) => `mesh.lb.endpoint.${name}`),
      ["limit", "inflight", "queue.age", "shed", "abandoned_handlers"].map((name) => `mesh.server.${name}`),
      "mesh.server.rate_limited",
      ["pending", "oldest_pending_age", "quarantined", "published"].map((name) => `mesh.outbox.${name}`),
      ["duplicates", "failures", "latency"].map((name) => `mesh.outbox.publish.${name}`),
      ["broker_loss", "leader", "table.size"].map((name) => `mesh.outbox.${name}`),
      ["pending", "ack_pending", "redelivered", "lag"].map((name) => `mesh.consumer.${name}`),
      ["recreated", "breaker_open"].map((name) => `mesh.consumer.${name}`),
      "mesh.replica.lag",
      ["duplicates", "gaps", "gap.oldest_age", "baselines"].map((name) => `mesh.inbox.${name}`),
      ["parked_keys", "dead_letters"].map((name) => `mesh.inbox.${name}`),
      ["duration", "failures", "inflight"].map((name) => `mesh.handler.${name}`),
      ["depth", "oldest_age", "replayed", "discarded"].map((name) => `mesh.dead_letter.${name}`),
      "mesh.broker.advisory",
      ["active", "oldest_age", "compensations", "timeouts"].map((name) => `mesh.saga.${name}`),
      "mesh.http2.cut_off",
      ["mesh.auth.refused", "mesh.deadline.remaining_at_ingress", "mesh.deadline.rejected", "mesh.degraded"],
    ]
      .flat()
      .sort(),
  );
});

test("every instrument has a unit and a description, and no two have one name for Prometheus", () => {
  for (const [, { unit, description }] of instruments) {
    expect(unit).toMatch(/^(s|1|By|\{[a-z_]+\})$/);
    expect(description).toMatch(/^[A-Z0-9].*\.$/);
  }
  const names = instruments.map(([name]) => name.replaceAll(/\W/g, "_"));
  expect(new Set(names).size).toBe(names.length);
});

test("what gRPC names has the 41 latency buckets of gRPC, what OpenTelemetry names those of OpenTelemetry", () => {
  for (const name of ["client.attempt", "client.call", "server.call"] as const) {
    const { boundaries } = INSTRUMENTS[`grpc.${name}.duration`];
    expect([boundaries.length, boundaries[0], boundaries.at(-1)]).toEqual([41, 0, 100]);
  }
  const call = INSTRUMENTS["rpc.server.call.duration"].boundaries;
  expect([call.length, call[0], call.at(-1)]).toEqual([14, 0.005, 10]);
});

test("boundaries rise", () => {
  for (const [, instrument] of instruments) {
    if (instrument.kind !== "histogram") continue;
    const { boundaries } = instrument;
    expect(boundaries).toEqual([...new Set(boundaries)].sort((a, b) => a - b));
  }
});

import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { recordingTelemetry } from "../../telemetry/recording.ts";
import { atEnd } from "../../testing/at-end.ts";
import { fails, scriptedBackend, UNAVAILABLE } from "../../testing/scripted-backend.ts";
import { countable, duration } from "../../testing/toy-client.ts";
import { meshClient, openTarget } from "./client.ts";

/** A target of two backends, of which the first fails, and what its telemetry says. */
async function measured() {
  const telemetry = recordingTelemetry();
  const once = { redundancy: { case: "retry" as const, value: { maxAttempts: 2 } } };
  // Far longer than any test, however slow the machine is.
  const breaker = { openBase: duration(600_000), openMax: duration(600_000) };
  const service = countable({ service: { defaults: once, breaker } });
  const backends = [
    await scriptedBackend({ protocol: "grpc", service }),
    await scriptedBackend({ protocol: "grpc", service }),
  ];
  const endpoints = backends.map(({ endpoint }) => endpoint);
  const target = openTarget(
    { target: { scheme: "static", endpoints }, protocol: "grpc", service },
    { telemetry, watchesHealth: false },
  );
  const lines = async (name: string) =>
    (await telemetry.prometheus()).split("\n").filter((line) => line.startsWith(name));
  atEnd(async () => target.close());
  return { telemetry, target, backends, client: meshClient(service, target), lines };
}

test("a target's budget, bulkhead, breakers and load are on the page, until it is closed", async () => {
  const { target, backends, client, lines } = await measured();
  backends[0]?.always(UNAVAILABLE);
  for (let call = 0; call < 6; call++) await client.ask({});
  const of = `target="${target.name}"`;
  expect(await lines("mesh_breaker_state")).toEqual([`mesh_breaker_state{${of}} 2`]);
  expect(await lines("mesh_breaker_transitions_total")).toEqual([
    `mesh_breaker_transitions_total{from="CLOSED",reason="CONSECUTIVE",${of},to="OPEN"} 1`,
  ]);
  expect(await lines("mesh_bulkhead_limit")).toEqual([`mesh_bulkhead_limit{class="unary",${of}} 256`]);
  expect(await lines("mesh_bulkhead_inflight")).toEqual([`mesh_bulkhead_inflight{class="unary",${of}} 0`]);
  expect(await lines("mesh_lb_endpoint_pending")).toEqual([`mesh_lb_endpoint_pending{${of}} 0`]);
  expect(await lines("mesh_retry_budget_balance")).toHaveLength(1);
  expect(await lines("grpc_client_call_retries_sum")).toEqual([
    expect.stringMatching(/grpc_method="[^"]+Ask".*\} 5$/),
  ]);
  target.close();
  expect(await lines("mesh_breaker_state")).toEqual([]);
});

test("an endpoint costs what another call there would take: as long as one, for each that is under way", async () => {
  const { target, lines } = await measured();
  await expect.poll(() => target.state.endpoints.all().length).toBe(2);
  const [first, second] = target.state.endpoints.all();
  const cost = async () => (await lines("mesh_lb_endpoint_cost")).map((line) => Number(line.split(" ")[1]));
  // Of an endpoint that is busy and has not answered yet nobody knows it; the other one has cost nothing so far.
  first?.load.begin();
  expect(await cost()).toEqual([0]);
  second?.load.begin();
  expect(await cost()).toEqual([]);
  first?.load.observe(50_000);
  const [seconds = 0] = await cost();
  // Two calls of 50 s; the average fades.
  expect(seconds).toBeGreaterThan(80);
  expect(seconds).toBeLessThanOrEqual(100);
});

test("the span of a call tells when a server sent an attempt back, which one, and until when", async () => {
  const { telemetry, target, backends, client } = await measured();
  backends[0]?.plays(fails(Code.Unavailable, { pushback: "5" }));
  await client.ask({});
  target.close();
  const [call] = (await telemetry.spans()).filter(({ name }) => !name.startsWith("attempt "));
  expect(call?.events).toEqual([
    { name: "mesh.pushback", attributes: { "mesh.pushback_ms": 5, "mesh.endpoint": backends[0]?.address } },
    { name: "mesh.retry", attributes: { how: "retry", "mesh.retry.delay_ms": 5 } },
  ]);
});

test("the span of an attempt tells which one it was, where it went and how it ended", async () => {
  const { telemetry, target, backends, client } = await measured();
  backends[0]?.plays(fails(Code.Unavailable));
  await client.ask({});
  target.close();
  const spans = await telemetry.spans();
  const attempts = spans.filter(({ name }) => name.startsWith("attempt "));
  expect(
    attempts.map(({ attributes }) => [
      attributes["mesh.attempt"],
      attributes["mesh.endpoint"],
      attributes["mesh.outcome.kind"],
    ]),
  ).toEqual([
    [1, backends[0]?.address, "STATUS"],
    [2, backends[1]?.address, undefined],
  ]);
});

import { setTimeout as pause } from "node:timers/promises";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { AppError } from "../../core/errors.ts";
import { silentLog } from "../../core/log.ts";
import { currentWork, type Work } from "../../core/work.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { until } from "../../testing/until.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { reasonOf } from "../errors.ts";
import { type ServerOptions, startServer } from "./server.ts";

const LIMIT_1 = { limiter: { limit: () => 1, observe() {} } };

/** A server, and a client of it; the test may act where telemetry stands, and its handlers end when it lets them. */
async function stacked(options: Partial<ServerOptions> = {}) {
  const clock = manualClock();
  const release = Promise.withResolvers<void>();
  const handled: string[] = [];
  const handle = async (name: string) => {
    handled.push(name);
    await release.promise;
    if (name === "broken") throw new Error("password=hunter2");
    return {};
  };
  const server = await testServer(
    OrderService,
    { getOrder: ({ orderId }) => handle(orderId), placeOrder: ({ requestId }) => handle(requestId) },
    { clock, random: () => 0.5, ...options },
  );
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  const client = createClient(OrderService, protocol.open(server));
  const get = (orderId: string, timeoutMs = 20_000) => client.getOrder({ orderId }, { timeoutMs });
  const placing = {
    customerId: "cust-ada",
    lines: [{ productId: "p1", quantity: 1 }],
    paymentToken: "tok_ok",
    requestId: "r1",
  };
  const place = (timeoutMs: number) => client.placeOrder(placing, { timeoutMs });
  return { clock, server, handled, client, get, place, release: release.resolve };
}

/** Acts between the early gate, which has let a call pass, and the gates of the stack. */
function betweenGates(act: () => void): Interceptor {
  return (next) => (request) => {
    act();
    return next(request);
  };
}

test("work is begun above all: telemetry knows the request, the deadline and how much the call matters", async () => {
  const works: (Work | undefined)[] = [];
  const { client, release } = await stacked({ telemetry: betweenGates(() => works.push(currentWork())) });
  release();
  const headers = { "x-request-id": "r7", "mesh-criticality": "SHEDDABLE" };
  await client.getOrder({ orderId: "o1" }, { headers });
  expect(works).toMatchObject([{ requestId: "r7", deadlineMs: 30_000, criticality: "SHEDDABLE" }]);
});

test("telemetry is above what refuses, and sees errors as they leave", async () => {
  const seen: unknown[] = [];
  const telemetry: Interceptor = (next) => async (request) => {
    if (seen.length === 1) setup.clock.advance(20_000);
    return next(request).catch((error) => {
      seen.push(ConnectError.from(error).message, reasonOf(error)?.reason);
      throw error;
    });
  };
  const setup = await stacked({ telemetry });
  setup.release();
  await setup.get("broken").catch(() => {});
  expect(seen).toEqual(["[internal] internal error", "INTERNAL"]);
  seen.length = 1;
  await setup.get("late").catch(() => {});
  expect(seen.at(-1)).toBe("DEADLINE_EXCEEDED");
  expect(setup.handled).toEqual(["broken"]);
});

test("draining is above the deadline: another instance may still be in time", async () => {
  const telemetry = betweenGates(() => {
    void setup.server.stop(60_000);
    setup.clock.advance(20_000);
  });
  const setup = await stacked({ telemetry });
  expect(await refusalOf(setup.get("o1"))).toMatchObject({ code: "Unavailable", reason: "DRAINING" });
});

test("the deadline is above admission: what is too late is not shed, and waits for no permit", async () => {
  const shed: string[] = [];
  let calls = 0;
  const telemetry = betweenGates(() => {
    if (++calls === 2) setup.clock.advance(5_000);
  });
  const admission = { ...LIMIT_1, onShed: (_: string, why: string) => void shed.push(why) };
  const setup = await stacked({ telemetry, admission });
  const running = setup.get("o1");
  await until(() => setup.handled.length === 1);
  expect(await refusalOf(setup.get("o2", 5_000))).toMatchObject({
    code: "DeadlineExceeded",
    reason: "DEADLINE_EXCEEDED",
  });
  expect([shed, setup.server.state().queued]).toEqual([[], 0]);
  setup.release();
  await running;
});

test("so it is for the early gate, which asks the same gates in the same order", async () => {
  const { server } = await stacked({ admission: { loopDelayMs: () => 600 } });
  const response = await fetch(`${server.url}/${OrderService.typeName}/GetOrder`, {
    method: "POST",
    headers: { "content-type": "application/json", "connect-timeout-ms": "0" },
    body: "{}",
  });
  expect(await response.json()).toMatchObject({ code: "deadline_exceeded" });
});

test("an event loop that has been late for a second sheds what matters less (12)", async () => {
  const clock = manualClock();
  // Not by `testServer`, which leaves out how busy the machine is.
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    services: [OrderService],
    routes: (router) => router.service(OrderService, { getOrder: () => ({}) }),
    log: silentLog,
    clock,
  });
  onTestFinished(() => server.stop(0));
  const call = async (criticality: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/${OrderService.typeName}/GetOrder`, {
      method: "POST",
      headers: { "content-type": "application/json", "mesh-criticality": criticality },
      body: '{"orderId":"o1"}',
    });
    return response.ok ? "answered" : /"reason":"(\w+)"/.exec(await response.text())?.[1];
  };
  const ends: unknown[] = [];
  for (let quarter = 0; quarter < 4; quarter++) {
    // The delay is measured from one tick of a timer to the next: one before the long turn, and one after.
    await pause(40);
    for (const until = performance.now() + 400; performance.now() < until; );
    await pause(40);
    clock.advance(250);
    ends.push(await call("SHEDDABLE"));
  }
  expect(ends).toEqual(["answered", "answered", "answered", "SHED"]);
  expect(await call("CRITICAL_PLUS")).toBe("answered");
});

test("duplicates are joined below admission: each has its permit and its deadline, and one has a handler", async () => {
  const { clock, server, handled, place, release } = await stacked();
  const first = place(20_000);
  await until(() => handled.length === 1);
  const second = refusalOf(place(10_000));
  await until(() => server.state().inflight === 2);
  clock.advance(10_000);
  expect(await second).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
  expect(server.state()).toMatchObject({ inflight: 1, abandonedHandlers: 0 });
  release();
  await first;
  expect(handled).toEqual(["r1"]);
});

test("the race is below admission: a handler that goes on after its deadline holds no permit", async () => {
  const { clock, server, handled, get, release } = await stacked({ admission: LIMIT_1 });
  const late = refusalOf(get("o1", 10_000));
  await until(() => handled.length === 1);
  clock.advance(10_000);
  expect(await late).toMatchObject({ code: "DeadlineExceeded" });
  expect(server.state()).toMatchObject({ inflight: 0, abandonedHandlers: 1 });
  release();
  await get("o2");
  expect(handled).toEqual(["o1", "o2"]);
});

test("faults are below admission and the race: they take a permit, and are cut off like a handler", async () => {
  const delay = Promise.withResolvers<never>();
  const { clock, server, handled, get } = await stacked({ faults: () => () => delay.promise });
  const call = refusalOf(get("o1", 10_000));
  await until(() => server.state().inflight === 1);
  clock.advance(10_000);
  expect(await call).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
  expect(server.state()).toMatchObject({ inflight: 0, abandonedHandlers: 1 });
  delay.reject(new Error("it is over"));
  await until(() => server.state().abandonedHandlers === 0);
  expect(handled).toEqual([]);
});

test("validation is below the faults, next to the handler", async () => {
  let isSpoiled = true;
  const spoiled = new AppError("on purpose", { code: Code.Aborted, reason: "SPOILED", domain: "test" });
  const faults: Interceptor = (next) => async (request) => {
    if (isSpoiled) throw spoiled;
    return next(request);
  };
  const { handled, get } = await stacked({ faults });
  expect(await refusalOf(get(""))).toMatchObject({ reason: "SPOILED" });
  isSpoiled = false;
  expect(await refusalOf(get(""))).toMatchObject({ reason: "INVALID_REQUEST", fields: ["order_id"] });
  expect(handled).toEqual([]);
});

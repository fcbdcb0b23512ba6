import { expect, test } from "vitest";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { currentWork, type Work } from "../../core/work.ts";
import { manualClock } from "../../testing/clock.ts";
import { scriptedBackend, UNAVAILABLE } from "../../testing/scripted-backend.ts";
import { testServer } from "../../testing/server.ts";
import { countable, duration, toyClient } from "../../testing/toy-client.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { meshClient } from "../client/client.ts";

const works: Work[] = [];
const note = () => {
  const work = currentWork();
  if (work) works.push(work);
};

const server = await testServer(ProductService, {
  async getProduct() {
    await Promise.resolve();
    note();
    return {};
  },
  async *watchStock() {
    note();
    yield {};
    await Promise.resolve();
    note();
    yield {};
  },
});
const client = meshClient(ProductService, WIRE_PROTOCOLS[0]?.open(server) as never);

async function worksOf(call: () => Promise<unknown>): Promise<Work[]> {
  works.length = 0;
  await call();
  return [...works];
}
const get = (headers: Record<string, string> = {}) =>
  worksOf(() => client.getProduct({ productId: "p1" }, { headers }));

test("a call belongs to its caller's trace, as a piece of its own", async () => {
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const [work] = await get({ traceparent });
  expect(work?.trace).toMatchObject({ traceId: "a".repeat(32), flags: "01" });
  expect(work?.trace.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(work?.trace.spanId).not.toBe("b".repeat(16));
});

test("a call carries what its caller gave it to take along, a stream too", async () => {
  const carried = { tenant: "acme", baggage: "plan=gold" };
  expect((await get(carried))[0]?.carried).toEqual(carried);
  expect((await get())[0]?.carried).toBeUndefined();
  const watched = await worksOf(() =>
    Array.fromAsync(client.watchStock({ productIds: ["p1"] }, { headers: carried })),
  );
  expect(watched.map((work) => work.carried)).toEqual([carried, carried]);
});

test("a call with no trace, or a malformed one, begins one", async () => {
  const [none] = await get();
  const [malformed] = await get({ traceparent: "00-zz-zz-01" });
  expect(none?.trace.traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(malformed?.trace.traceId).toMatch(/^[0-9a-f]{32}$/);
});

test("a call keeps its caller's request id, if it is one that can stand in a log", async () => {
  const long = "x".repeat(129);
  expect((await get({ "x-request-id": "req.1:2_3" }))[0]?.requestId).toBe("req.1:2_3");
  expect((await get({ "x-request-id": "two words" }))[0]?.requestId).not.toBe("two words");
  expect((await get({ "x-request-id": long }))[0]?.requestId).not.toBe(long);
  expect((await get())[0]?.requestId).toMatch(/^[0-9a-f]{32}$/);
});

test("all of a stream is one piece of work", async () => {
  const seen = await worksOf(() => Array.fromAsync(client.watchStock({ productIds: ["p1"] })));
  expect(seen).toHaveLength(2);
  expect(seen[1]).toBe(seen[0]);
});

test("calls side by side do not mix", async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `req-${i}`);
  const seen = await worksOf(() =>
    Promise.all(ids.map((id) => client.getProduct({ productId: "p1" }, { headers: { "x-request-id": id } }))),
  );
  expect(seen.map((work) => work.requestId).sort()).toEqual([...ids].sort());
});

test("a call is a retry if its caller has made attempts before (A6)", async () => {
  const isRetry = async (previous: string) =>
    (await get({ "grpc-previous-rpc-attempts": previous }))[0]?.isRetry;
  expect((await get())[0]?.isRetry).toBe(false);
  expect([await isRetry("1"), await isRetry("4")]).toEqual([true, true]);
  expect([await isRetry("0"), await isRetry("-1"), await isRetry("abc")]).toEqual([false, false, false]);
});

test("what a retry calls counts half towards the budget of retries (5.5)", async () => {
  const waits = { initialBackoff: duration(0), maxBackoff: duration(0) };
  // A retry for each call, and next to nothing beside.
  const gate = { case: "retryBudget" as const, value: { ratio: 1, minPerSecond: 0.001 } };
  const service = countable({
    service: { gate, breaker: { consecutive: 100, minCalls: 100 } },
    ask: { redundancy: { case: "retry", value: waits } },
  });
  const end = await scriptedBackend({ protocol: "connect", service });
  end.always(UNAVAILABLE);
  const below = toyClient("connect", service, [end.endpoint], { clock: manualClock() });
  const middle = await testServer(service, { ask: ({ text }) => below.ask({ text }) });
  const edge = toyClient("connect", service, [middle.endpoint]);
  const attemptsFor = async (headers: Record<string, string>) => {
    const before = end.attempts.length;
    await edge.ask({}, { headers }).catch(() => {});
    return end.attempts.length - before;
  };
  expect(await attemptsFor({})).toBe(2);
  const retried = { "grpc-previous-rpc-attempts": "1" };
  expect(await attemptsFor(retried)).toBe(1);
  expect(await attemptsFor(retried)).toBe(2);
});

import { setImmediate } from "node:timers/promises";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { policies } from "../../contract/policy.ts";
import { refuseByMesh } from "../../contract/reasons.ts";
import { childOf } from "../../core/trace.ts";
import { currentWork, runWork, standAside } from "../../core/work.ts";
import type { Sample } from "../../resilience/limiter.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { unaryAnswer, unaryRequest } from "../../testing/toy-calls.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { admitCalls } from "./admit-calls.ts";

type Answer = () => object | Promise<object>;

/** A server that takes so many calls at a time, and what its limiter was shown. */
async function admitting(limit: number, answer: Answer) {
  const clock = manualClock();
  const samples: Sample[] = [];
  const criticalities: (string | undefined)[] = [];
  const server = await testServer(
    ProductService,
    {
      getProduct() {
        criticalities.push(currentWork()?.criticality);
        return answer();
      },
      listProducts() {
        criticalities.push(currentWork()?.criticality);
        return {};
      },
    },
    {
      clock,
      random: () => 0.5,
      admission: { limiter: { limit: () => limit, observe: (sample) => void samples.push(sample) } },
    },
  );
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  const transport = protocol.open(server);
  return {
    server,
    clock,
    samples,
    criticalities,
    transport,
    client: createClient(ProductService, transport),
  };
}

/** A handler that takes until the test lets it end. */
function held() {
  const release = Promise.withResolvers<object>();
  return { answer: () => release.promise, release: () => release.resolve({}) };
}

test("as many calls run as the limit says; as many wait, for 50 ms, and more are refused with SHED", async () => {
  const { answer, release } = held();
  const { server, clock, client } = await admitting(1, answer);
  const call = (productId: string) => client.getProduct({ productId });
  const running = call("p1");
  await expect.poll(() => server.state().inflight).toBe(1);
  const waiting = refusalOf(call("p2"));
  await expect.poll(() => server.state().queued).toBe(1);
  const refused = await refusalOf(call("p3"));
  expect(refused).toEqual({ code: "Unavailable", reason: "SHED", domain: "mesh.weft" });
  clock.advance(50);
  expect(await waiting).toEqual(refused);
  release();
  await running;
  expect(server.state()).toMatchObject({ inflight: 0, queued: 0 });
});

test("who waits is let in when somebody has ended", async () => {
  const { answer, release } = held();
  const { server, client } = await admitting(1, answer);
  const calls = [client.getProduct({ productId: "p1" })];
  await expect.poll(() => server.state().inflight).toBe(1);
  calls.push(client.getProduct({ productId: "p2" }));
  await expect.poll(() => server.state().queued).toBe(1);
  release();
  await Promise.all(calls);
});

test("who only waits from now on makes room, and shows what it took up to then", async () => {
  const { answer, release } = held();
  const { server, clock, samples, client } = await admitting(1, () => {
    clock.advance(7);
    standAside();
    standAside();
    return answer();
  });
  const calls = ["p1", "p2", "p3"].map((productId) => client.getProduct({ productId }));
  await expect.poll(() => samples.length).toBe(3);
  expect(server.state()).toMatchObject({ inflight: 0, queued: 0 });
  clock.advance(1_000);
  release();
  await Promise.all(calls);
  expect(samples.map(({ rttMs }) => rttMs)).toEqual([7, 7, 7]);
});

test("so many may stand aside; one more keeps its place, until one of them has ended", async () => {
  const [taken, timed]: string[][] = [[], []];
  const gate = admitCalls({
    admission: {
      acquire: async () => ({ isAdmitted: true, release: () => void taken?.push("released") }),
      refusal: () => undefined,
      state: () => ({ limit: 1, inflight: 0, queued: 0, queueAgeMs: 0, sheddingForMs: 0 }),
    },
    times: { observe: (method) => void timed?.push(method), minUsefulMs: () => 0, minAtOnceMs: () => 0 },
    policies: policies(),
    clock: manualClock(),
    maxAside: 1,
  });
  const call = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const request = unaryRequest(ProductService.method.getProduct);
    const next = async () => {
      standAside();
      await promise;
      return unaryAnswer(request);
    };
    const trace = childOf(undefined);
    const work = { trace, requestId: "r", deadlineMs: Number.POSITIVE_INFINITY };
    const ended = runWork(work, () => gate.interceptor(next)(request));
    return { ended, end: () => resolve() };
  };
  const [first, second] = [call(), call()];
  await setImmediate();
  expect(taken).toEqual(["released"]);
  first.end();
  await first.ended;
  const third = call();
  await setImmediate();
  expect(taken).toEqual(["released", "released"]);
  for (const each of [second, third]) each.end();
  await Promise.all([second.ended, third.ended]);
  expect(taken).toHaveLength(3);
  expect(timed).toHaveLength(3);
});

test("a call that leaves the queue makes room in it", async () => {
  const { answer, release } = held();
  const { server, client } = await admitting(1, answer);
  const running = client.getProduct({ productId: "p1" });
  await expect.poll(() => server.state().inflight).toBe(1);
  const leaving = new AbortController();
  const waiting = client.getProduct({ productId: "p2" }, { signal: leaving.signal }).catch(() => {});
  await expect.poll(() => server.state().queued).toBe(1);
  leaving.abort();
  await waiting;
  await expect.poll(() => server.state().queued).toBe(0);
  release();
  await running;
});

test("health needs no permit, nor does a stream", async () => {
  const { answer, release } = held();
  const { server, client, transport } = await admitting(1, answer);
  const running = client.getProduct({ productId: "p1" });
  await expect.poll(() => server.state().inflight).toBe(1);
  await createClient(Health, transport).check({});
  await expect(Array.fromAsync(client.watchStock({ productIds: ["p1"] }))).rejects.toMatchObject({
    code: Code.Unimplemented,
  });
  release();
  await running;
});

test("a call counts as much as its caller says, else as its contract does", async () => {
  const { criticalities, client } = await admitting(10, () => ({}));
  await client.getProduct({ productId: "p1" });
  await client.listProducts({});
  await client.getProduct({ productId: "p1" }, { headers: { "mesh-criticality": "SHEDDABLE" } });
  await client.getProduct({ productId: "p1" }, { headers: { "mesh-criticality": "MOST_OF_ALL" } });
  expect(criticalities).toEqual(["CRITICAL", "SHEDDABLE_PLUS", "SHEDDABLE", "CRITICAL"]);
});

test("of a limit of 10, calls that matter least get half, and those that matter most get all (S3)", async () => {
  const { answer, release } = held();
  const { server, client } = await admitting(10, answer);
  const calls: Promise<unknown>[] = [];
  const send = (criticality: string, count: number) => {
    for (let i = 0; i < count; i++) {
      const headers = { "mesh-criticality": criticality };
      calls.push(client.getProduct({ productId: "p1" }, { headers }).catch(() => {}));
    }
  };
  for (const [criticality, running] of [
    ["SHEDDABLE", 5],
    ["SHEDDABLE_PLUS", 7],
    ["CRITICAL", 9],
    ["CRITICAL_PLUS", 10],
  ] as const) {
    send(criticality, 20);
    await expect.poll(() => server.state().inflight).toBe(running);
  }
  release();
  await Promise.all(calls);
});

test("how long the work takes is learnt from what took the whole way only", async () => {
  const errors = [
    new ConnectError("none of that name", Code.NotFound),
    refuseByMesh(MeshError.INVALID_REQUEST, "nonsense"),
    new Error("a bug"),
  ];
  let call = 0;
  const { samples, client } = await admitting(10, () => {
    const error = errors[call++];
    if (error) throw error;
    return {};
  });
  for (let i = 0; i < 4; i++) await client.getProduct({ productId: "p1" }).catch(() => {});
  // NOT_FOUND and the answer; what was refused unlooked at, and a bug, say nothing.
  expect(samples).toHaveLength(2);
});

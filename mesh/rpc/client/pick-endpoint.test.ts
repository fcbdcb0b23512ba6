import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { servicePolicy } from "../../contract/policy.ts";
import { DeliveryError } from "../../core/delivery.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { fails, scriptedBackend, UNAVAILABLE } from "../../testing/scripted-backend.ts";
import { countable, duration, toyTarget } from "../../testing/toy-client.ts";
import { meshClient } from "./client.ts";
import { endpointsOf } from "./endpoints.ts";
import { pickEndpoint } from "./pick-endpoint.ts";

const NO_RETRY = { redundancy: { case: "retry" as const, value: { maxAttempts: 1 } } };

/** A layer above endpoints of which nothing is known yet, with a request of a call that has a second left. */
function unknown(failure?: Error) {
  const clock = manualClock();
  const endpoints = endpointsOf({
    open: () => ({
      unary: () => Promise.reject(new Error("the test sends nothing")),
      stream: () => Promise.reject(new Error("the test sends nothing")),
      close() {},
    }),
    policies: servicePolicy(Health),
    clock,
    random: () => 0.5,
    watchesHealth: false,
  });
  const caller = new AbortController();
  const request = {
    stream: false as const,
    service: Health,
    method: Health.method.check,
    requestMethod: "POST",
    url: "http://nowhere",
    header: new Headers({ "grpc-timeout": "1S" }),
    signal: caller.signal,
    contextValues: createContextValues(),
    message: { $typeName: "grpc.health.v1.HealthCheckRequest", service: "" },
  };
  let lookups = 0;
  let pushbacks = 0;
  const layer = pickEndpoint(endpoints, {
    clock,
    onNotSent: () => void lookups++,
    onPushback: () => void pushbacks++,
  });
  const call = layer(async () => {
    if (failure) throw failure;
    return { stream: false } as never;
  })(request as never);
  return { clock, endpoints, caller, call, lookups: () => lookups, pushbacks: () => pushbacks };
}

test("a call waits until it is known for the first time who is there", async () => {
  const { endpoints, call } = unknown();
  endpoints.update([{ host: "h", port: 1 }]);
  await call;
  expect(endpoints.all()[0]?.picked).toBe(1);
});

test("it waits no longer than its deadline", async () => {
  const { clock, call } = unknown();
  const refused = expect(refusalOf(call)).resolves.toMatchObject({ code: "DeadlineExceeded" });
  clock.advance(1_000);
  await refused;
});

test("its caller may leave", async () => {
  const { caller, call } = unknown();
  const refused = expect(call).rejects.toMatchObject({ code: Code.Canceled });
  caller.abort();
  await refused;
});

/** A client of one backend without retries, and its endpoint. */
async function one() {
  const clock = manualClock();
  const service = countable({ service: { defaults: NO_RETRY } });
  const backend = await scriptedBackend({ protocol: "grpc", service });
  const target = toyTarget("grpc", service, [backend.endpoint], { clock });
  const [endpoint] = target.state.endpoints.all();
  if (!endpoint) throw new Error("the endpoint is known");
  return { clock, backend, endpoint, client: meshClient(service, target) };
}

test("an endpoint that fails counts as slow as 5 s, or as long as it wants to be left alone (L5)", async () => {
  const { backend, endpoint, client } = await one();
  backend.plays(UNAVAILABLE);
  await client.ask({}).catch(() => {});
  expect(endpoint.load.latencyMs()).toBe(5_000);
  expect(endpoint.lastError?.text).toContain("as the script says");
  backend.plays(fails(Code.Unavailable, { pushback: "20000" }));
  await client.ask({}).catch(() => {});
  expect(endpoint.load.latencyMs()).toBe(20_000);
});

test("one that sheds does too, though its breaker does not count it", async () => {
  const { backend, endpoint, client } = await one();
  backend.plays(fails(Code.Unavailable, { reason: "SHED" }));
  await client.ask({}).catch(() => {});
  expect(endpoint.load.latencyMs()).toBe(5_000);
  expect(endpoint.breaker.describe()).toMatchObject({ calls: 0, failures: 0 });
});

test("one that refuses what is asked of it does not", async () => {
  const { backend, endpoint, client } = await one();
  backend.plays(fails(Code.InvalidArgument));
  await client.ask({}).catch(() => {});
  expect([endpoint.load.latencyMs(), endpoint.lastError]).toEqual([0, undefined]);
});

test("a call that was given up tells that it would have taken longer, and frees its place", async () => {
  const { clock, backend, endpoint, client } = await one();
  backend.plays({ does: "hang" });
  const leaving = new AbortController();
  const call = client.ask({}, { signal: leaving.signal }).catch(() => {});
  await backend.whenArrived(1);
  expect(endpoint.load.pending).toBe(1);
  clock.advance(400);
  leaving.abort();
  await call;
  expect([endpoint.load.pending, endpoint.load.latencyMs()]).toEqual([0, 400]);
});

test.each([
  ["NOT_SENT", 1],
  ["LOST", 0],
  ["REFUSED", 0],
] as const)(
  "after %s the list of endpoints is looked up again %d times: nobody may listen there any more",
  async (delivery, times) => {
    const cause = new DeliveryError(delivery, "as the test says");
    const failure = new ConnectError("away", Code.Unavailable, undefined, undefined, cause);
    const { endpoints, call, lookups } = unknown(failure);
    endpoints.update([{ host: "h", port: 1 }]);
    await expect(call).rejects.toBe(failure);
    expect(lookups()).toBe(times);
  },
);

test("an endpoint whose attempts lose against hedges is as slow as all the time that was spent there", async () => {
  const clock = manualClock();
  const service = countable({
    ask: {
      timeout: duration(30_000),
      redundancy: {
        case: "hedge",
        value: { maxExtraLoad: 1, delay: { case: "fixed", value: duration(40) } },
      },
    },
  });
  const slow = await scriptedBackend({ protocol: "grpc", service });
  const fast = await scriptedBackend({ protocol: "grpc", service });
  const target = toyTarget("grpc", service, [slow.endpoint, fast.endpoint], { clock });
  const client = meshClient(service, target);
  slow.always({ does: "hang" });
  for (let i = 1; i <= 3; i++) {
    const call = client.ask({});
    await slow.whenArrived(i);
    clock.advance(40);
    await call;
  }
  expect(target.state.endpoints.all()[0]?.load.latencyMs()).toBe(120);
});

test.each([
  ["of SHED", new ConnectError("busy", Code.Unavailable, undefined, [info("SHED")]), 1],
  ["with a time to come back", new ConnectError("busy", Code.Aborted, { "grpc-retry-pushback-ms": "20" }), 1],
  [
    "with the wish to be left alone",
    new ConnectError("busy", Code.Aborted, { "grpc-retry-pushback-ms": "-1" }),
    1,
  ],
  ["of DRAINING", new ConnectError("going", Code.Unavailable, undefined, [info("DRAINING")]), 0],
  ["of UNAVAILABLE", new ConnectError("away", Code.Unavailable), 0],
] as const)("a failure %s is pushback, or is not", async (_, failure, times) => {
  const { endpoints, call, pushbacks } = unknown(failure);
  endpoints.update([{ host: "h", port: 1 }]);
  await expect(call).rejects.toBe(failure);
  expect(pushbacks()).toBe(times);
});

function info(reason: string) {
  return { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: "mesh.weft" }) };
}

test("a call that was given up forgives no failure", async () => {
  const { clock, backend, endpoint, client } = await one();
  backend.plays(UNAVAILABLE, { does: "hang" });
  await client.ask({}).catch(() => {});
  const leaving = new AbortController();
  const call = client.ask({}, { signal: leaving.signal }).catch(() => {});
  await backend.whenArrived(2);
  clock.advance(100);
  leaving.abort();
  await call;
  expect(endpoint.load.latencyMs()).toBeGreaterThan(4_900);
  clock.advance(2_000);
  expect(endpoint.load.isDue()).toBe(true);
});

test("how long a stream lasts says nothing of its endpoint; that it breaks does", async () => {
  const { clock, backend, endpoint, client } = await one();
  const watch = (leaving: AbortController) =>
    client.watch({}, { signal: leaving.signal })[Symbol.asyncIterator]();
  const first = new AbortController();
  backend.plays({ does: "answer", after: new Promise(() => {}) });
  const left = watch(first);
  await left.next();
  clock.advance(59_000);
  first.abort();
  await left.next().catch(() => {});
  expect(endpoint.load.latencyMs()).toBeLessThan(1);
  expect(endpoint.load.pending).toBe(0);
  backend.plays(fails(Code.Unavailable, { messages: ["one"] }));
  const broken = watch(new AbortController());
  await broken.next();
  await expect(broken.next()).rejects.toMatchObject({ code: Code.Unavailable });
  expect(endpoint.load.latencyMs()).toBe(5_000);
});

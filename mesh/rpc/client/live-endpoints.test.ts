import { expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { Balancing } from "../../../gen/mesh/policy/v1/policy_pb.ts";
import { scriptedBackend } from "../../testing/scripted-backend.ts";
import { tcpProxy } from "../../testing/tcp-proxy.ts";
import { countable, toyTarget } from "../../testing/toy-client.ts";
import { until } from "../../testing/until.ts";
import { meshClient } from "./client.ts";
import { PROTOCOLS, type Protocol } from "./protocol.ts";

/** Two instances of a service, of which the first tells of its health what the test lets it tell. */
async function watched(protocol: Protocol, policy: Balancing) {
  const service = countable({ service: { balancer: { policy } } });
  const told: { readonly say: (status: Status) => void; readonly left: Promise<void> }[] = [];
  const telling = await scriptedBackend({
    protocol,
    service,
    routes(router) {
      router.service(Health, {
        async *watch(_, { signal }) {
          const left = Promise.withResolvers<void>();
          signal.addEventListener("abort", () => left.resolve());
          let next = Promise.withResolvers<Status>();
          told.push({ say: (status) => next.resolve(status), left: left.promise });
          for (;;) {
            const status = await Promise.race([next.promise, left.promise]);
            if (status === undefined) return;
            next = Promise.withResolvers();
            yield { status };
          }
        },
      });
    },
  });
  const silent = await scriptedBackend({ protocol, service });
  const target = toyTarget(protocol, service, [telling.endpoint, silent.endpoint], { watchesHealth: true });
  const client = meshClient(service, target);
  const [first, second] = target.state.endpoints.all();
  const ask = async (times: number) => {
    const before = [telling.attempts.length, silent.attempts.length] as const;
    for (let call = 0; call < times; call++) await client.ask({});
    return [telling.attempts.length - before[0], silent.attempts.length - before[1]];
  };
  return { target, told, first, second, ask };
}

test.each(PROTOCOLS)(
  "over %s: an endpoint that says NOT_SERVING gets nothing until it says SERVING; one that says nothing is healthy",
  async (protocol) => {
    const { target, told, first, second, ask } = await watched(protocol, Balancing.ROUND_ROBIN);
    // Nobody is asked before somebody calls; until it has spoken, an endpoint is taken to serve.
    expect(told).toHaveLength(0);
    expect(await ask(4)).toEqual([2, 2]);
    // The other one does not know the question: UNIMPLEMENTED.
    await until(() => second?.isServing === true && told.length === 1);
    told[0]?.say(Status.NOT_SERVING);
    await until(() => first?.isServing === false);
    expect(await ask(6)).toEqual([0, 6]);
    told[0]?.say(Status.SERVING);
    await until(() => first?.isServing === true);
    expect(await ask(6)).toEqual([3, 3]);
    target.close();
    await told[0]?.left;
    expect(told).toHaveLength(1);
  },
);

test.each(PROTOCOLS)("over %s: pick_first asks nobody, and keeps to the first (A17)", async (protocol) => {
  const { told, first, ask } = await watched(protocol, Balancing.PICK_FIRST);
  expect(await ask(5)).toEqual([5, 0]);
  expect([told, first?.isServing]).toEqual([[], undefined]);
});

test.each(PROTOCOLS)(
  "over %s: an endpoint that is not on the list any more ends its calls, and then its connections",
  async (protocol) => {
    const service = countable();
    const [leaving, staying] = [
      await scriptedBackend({ protocol, service }),
      await scriptedBackend({ protocol, service }),
    ];
    const proxy = await tcpProxy(leaving.endpoint);
    const target = toyTarget(protocol, service, [proxy.endpoint, staying.endpoint]);
    const client = meshClient(service, target);
    const end = Promise.withResolvers<void>();
    leaving.plays({ does: "answer", text: "in the end", after: end.promise });
    const running = client.ask({});
    await leaving.whenArrived(1);
    target.state.endpoints.update([staying.endpoint]);
    expect(await client.ask({ text: "elsewhere" })).toMatchObject({ text: "elsewhere" });
    expect([staying.attempts.length, proxy.connections()]).toEqual([1, 1]);
    end.resolve();
    expect(await running).toMatchObject({ text: "in the end" });
    await proxy.whenEmpty();
    expect(leaving.attempts).toHaveLength(1);
  },
);

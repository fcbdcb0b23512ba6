import { once } from "node:events";
import { Agent, get } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { manualClock } from "../../testing/clock.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { meshClient } from "../client/client.ts";

const drained = { code: "Unavailable", reason: "DRAINING", domain: "mesh.weft" };

/** A server whose calls take until the test lets them end. */
async function working() {
  const begun = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const server = await testServer(OrderService, {
    async getOrder({ orderId }) {
      begun.resolve();
      await release.promise;
      return { order: { orderId } };
    },
    async *watchOrder(_, { signal }) {
      signal.addEventListener("abort", () => left.resolve());
      yield {};
      begun.resolve();
      await release.promise;
    },
  });
  return { server, begun: begun.promise, release: release.resolve, left: left.promise };
}

const FOR_EVER_MS = 2 ** 31;

describe.each(WIRE_PROTOCOLS)("a stopping server, over $name,", (protocol) => {
  test("lets the call in flight end, and takes no new one", async () => {
    const { server, begun, release } = await working();
    const orders = meshClient(OrderService, protocol.open(server));
    const inFlight = orders.getOrder({ orderId: "o1" });
    await begun;
    const stopped = server.stop(FOR_EVER_MS);
    expect(server.draining.aborted).toBe(true);
    // Whether the connection refuses it or the server does: it is UNAVAILABLE, or never got through.
    const refused: ConnectError = await orders.getOrder({ orderId: "o2" }).catch((error) => error);
    expect(refused).toBeInstanceOf(ConnectError);
    expect([Code.Unavailable, Code.Aborted, Code.Canceled, Code.Internal]).toContain(refused.code);
    release();
    expect((await inFlight).order?.orderId).toBe("o1");
    await stopped;
  });

  test("ends streams with DRAINING, so that watchers go elsewhere", async () => {
    const { server, begun, release } = await working();
    const answers = meshClient(OrderService, protocol.open(server))
      .watchOrder({ orderId: "o1" })
      [Symbol.asyncIterator]();
    await answers.next();
    const ended = refusalOf(answers.next());
    await begun;
    const stopped = server.stop(FOR_EVER_MS);
    expect(await ended).toEqual(drained);
    release();
    await stopped;
  });

  test("cuts off a call that never ends, when its time is up", async () => {
    const { server, begun } = await working();
    const call = meshClient(OrderService, protocol.open(server)).getOrder({ orderId: "o1" });
    const cut = expect(call).rejects.toBeInstanceOf(ConnectError);
    await begun;
    await server.stop(20);
    await cut;
  });
});

test("a new call over grpc-js is UNAVAILABLE", async () => {
  const { server, begun, release } = await working();
  const orders = meshClient(OrderService, WIRE_PROTOCOLS[0]?.open(server) as never);
  const inFlight = orders.getOrder({ orderId: "o1" });
  await begun;
  const stopped = server.stop(FOR_EVER_MS);
  await expect(orders.getOrder({ orderId: "o2" })).rejects.toMatchObject({ code: Code.Unavailable });
  release();
  await inFlight;
  await stopped;
});

test("a stream that drains has told its handler", async () => {
  const { server, begun, left, release } = await working();
  const client = meshClient(OrderService, WIRE_PROTOCOLS[0]?.open(server) as never);
  const watching = Array.fromAsync(client.watchOrder({ orderId: "o1" })).catch(() => {});
  await begun;
  const stopped = server.stop(FOR_EVER_MS);
  await watching;
  await left;
  release();
  await stopped;
});

test("connections that do nothing are closed at once, whatever they speak", async () => {
  const { server, begun, release } = await working();
  const busy = meshClient(OrderService, WIRE_PROTOCOLS[0]?.open(server) as never).getOrder({ orderId: "o1" });
  await begun;

  const http2 = connectHttp2(server.url);
  const goaway = once(http2, "goaway");
  await once(http2, "remoteSettings");
  const agent = new Agent({ keepAlive: true });
  const [response] = await once(get(`${server.url}/healthz`, { agent }), "response");
  const http1Closed = once(response.socket, "close");
  await once(response.resume(), "end");
  const silent = connect(server.endpoint);
  await once(silent, "connect");
  const halfSaid = connect(server.endpoint);
  halfSaid.write("PRI * HT");
  // Answered after the connections before it have been taken.
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);

  const closed = [once(http2, "close"), http1Closed, once(silent, "close"), once(halfSaid, "close")];
  const stopped = server.stop(FOR_EVER_MS);
  await goaway;
  await Promise.all(closed);
  release();
  await busy;
  await stopped;
});

test("who connects to a stopping server is refused", async () => {
  const { server, begun, release } = await working();
  const busy = meshClient(OrderService, WIRE_PROTOCOLS[0]?.open(server) as never).getOrder({ orderId: "o1" });
  await begun;
  const stopped = server.stop(FOR_EVER_MS);
  const [error] = await once(connect(server.endpoint), "error");
  expect(error.code).toBe("ECONNREFUSED");
  release();
  await busy;
  await stopped;
});

test("stopping twice is stopping once", async () => {
  const { server } = await working();
  await Promise.all([server.stop(), server.stop()]);
  await server.stop();
});

test("who leaves says so, and takes calls until those who do not ask have found out", async () => {
  const clock = manualClock();
  const order = ({ orderId }: { orderId: string }) => ({ order: { orderId } });
  const server = await testServer(OrderService, { getOrder: order }, { clock });
  const way = WIRE_PROTOCOLS[0]?.open(server) as never;
  const [orders, health] = [meshClient(OrderService, way), meshClient(Health, way)];
  const statuses: number[] = [];
  const watching = (async () => {
    for await (const { status } of health.watch({})) statuses.push(status);
  })();
  await expect.poll(() => statuses).toEqual([Status.SERVING]);
  const left = server.leave(10_000).then(() => "left");
  await watching;
  expect(statuses).toEqual([Status.SERVING, Status.NOT_SERVING]);
  expect((await health.check({})).status).toBe(Status.NOT_SERVING);
  expect((await fetch(`${server.url}/healthz`)).status).toBe(503);
  clock.advance(9_999);
  expect((await orders.getOrder({ orderId: "o1" })).order?.orderId).toBe("o1");
  expect(server.draining.aborted).toBe(false);
  clock.advance(1);
  expect(await left).toBe("left");
  await server.stop(FOR_EVER_MS);
});

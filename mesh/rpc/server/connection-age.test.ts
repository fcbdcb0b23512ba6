import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import { connect } from "node:http2";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { atEnd } from "../../testing/at-end.ts";
import { manualClock } from "../../testing/clock.ts";
import { testServer } from "../../testing/server.ts";
import { meshClient, openTarget } from "../client/client.ts";

/** A server whose connections grow old at 10 minutes exactly, and a watch that lasts as long as the test wants. */
async function aging(random = 0.5) {
  const clock = manualClock();
  const release = Promise.withResolvers<void>();
  const server = await testServer(
    OrderService,
    {
      getOrder: () => ({}),
      async *watchOrder() {
        yield {};
        await release.promise;
        yield {};
      },
    },
    { clock, random: () => random },
  );
  const target = openTarget(
    { target: { scheme: "static", endpoints: [server.endpoint] }, protocol: "grpc" },
    { watchesHealth: false },
  );
  atEnd(async () => target.close());
  const client = meshClient(OrderService, target);
  const watch = client.watchOrder({ orderId: "o1" })[Symbol.asyncIterator]();
  return { clock, server, client, watch, release: () => release.resolve() };
}

async function http2Session(url: string) {
  const session = connect(url);
  atEnd(async () => session.destroy());
  await once(session, "remoteSettings");
  return session;
}

test.each([
  [0, 540_000],
  [0.5, 600_000],
  [1, 660_000],
])(
  "an HTTP/2 connection is told to go at 10 minutes, give or take a tenth by chance (%d: %d ms) (A9)",
  async (random, ageMs) => {
    const { clock, server } = await aging(random);
    const session = await http2Session(server.url);
    let isTold = false;
    session.once("goaway", () => {
      isTold = true;
    });
    clock.advance(ageMs - 1);
    await fetch(`${server.url}/healthz`);
    expect(isTold).toBe(false);
    const closed = once(session, "close");
    clock.advance(1);
    await closed;
    expect(isTold).toBe(true);
  },
);

test("a watch on a connection that has grown old ends well; calls take another connection", async () => {
  const { clock, server, client, watch, release } = await aging();
  await watch.next();
  expect(server.state().connections).toBe(1);
  clock.advance(600_000);
  // What was on its way when the connection was told to go is still answered on it.
  await expect
    .poll(async () => {
      await client.getOrder({ orderId: "o2" });
      return server.state().connections;
    })
    .toBe(2);
  release();
  expect(await watch.next()).toMatchObject({ done: false });
  expect(await watch.next()).toMatchObject({ done: true });
  await expect.poll(() => server.state().connections).toBe(1);
});

test("what lasts for longer than 30 seconds after that is cut off", async () => {
  const { clock, server, client, watch } = await aging();
  await watch.next();
  clock.advance(600_000);
  await client.getOrder({ orderId: "o2" });
  clock.advance(29_999);
  await client.getOrder({ orderId: "o2" });
  expect(server.state().streams).toBe(1);
  clock.advance(1);
  await expect(watch.next()).rejects.toMatchObject({ code: Code.Unavailable });
});

test("an HTTP/1.1 connection ends with the first answer after that", async () => {
  const { clock, server } = await aging();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  atEnd(async () => agent.destroy());
  const ask = async () => {
    const [response] = (await once(get(`${server.url}/healthz`, { agent }), "response")) as [IncomingMessage];
    await once(response.resume(), "end");
    return response.headers.connection;
  };
  expect(await ask()).toBe("keep-alive");
  clock.advance(599_999);
  expect(await ask()).toBe("keep-alive");
  clock.advance(1);
  expect(await ask()).toBe("close");
  expect(await ask()).toBe("keep-alive");
});

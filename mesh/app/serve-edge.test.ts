import { expect, test } from "vitest";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { freePort } from "../../tools/local/ports.ts";
import { readConfig } from "../core/config.ts";
import { meshClient, type OpenTarget, openTarget } from "../rpc/client/client.ts";
import { dataPlaneOf } from "../rpc/data-planes.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { openProcess } from "./parts.ts";
import { serveEdge } from "./serve-edge.ts";
import { portSetting, processSettings } from "./settings.ts";

const HOST = "127.0.0.1";
const { url: natsUrl } = await testBroker();

const partsOf = (port: number) =>
  openProcess(
    "edge",
    readConfig(
      { ...processSettings, port: portSetting(0) },
      { HOST, PORT: String(port), NATS_URL: natsUrl, LOG_LEVEL: "error", MESH_AUTH: "off" },
    ),
  );

/** A way to nowhere that tells when it is closed. */
function closing(onClose: () => void): OpenTarget {
  const way = openTarget({ target: { scheme: "static", endpoints: [] }, protocol: "grpc" });
  return {
    ...way,
    close() {
      way.close();
      onClose();
    },
  };
}

test("a process that keeps nothing serves without a database, and lets go of its ways when it stops", async () => {
  let closed = 0;
  const app = await serveEdge(partsOf(0), {
    services: [OrderService],
    routes: (router) => router.service(OrderService, { getOrder: ({ orderId }) => ({ order: { orderId } }) }),
    web: () => () => new Response("web"),
    targets: [closing(() => closed++)],
  });
  // Without policies, by which a slow machine would have two seconds.
  const endpoint = { host: HOST, port: app.port };
  const way = dataPlaneOf().grpc(endpoint, { interceptors: [], maxMessageBytes: 2 ** 20 });
  atEnd(async () => way.close());
  const { order } = await meshClient(OrderService, way).getOrder({ orderId: "o1" });
  expect(order?.orderId).toBe("o1");
  const url = `http://${HOST}:${app.port}`;
  expect(await (await fetch(`${url}/healthz`)).text()).toBe("ok\n");
  expect(await (await fetch(`${url}/anything`)).text()).toBe("web");
  expect(closed).toBe(0);
  await app.stop();
  expect(closed).toBe(1);
  await expect(fetch(url)).rejects.toThrow();
});

test("one that cannot start leaves nothing behind", async () => {
  const port = await freePort();
  const duties = { services: [OrderService], routes: () => {}, targets: [] };
  const first = await serveEdge(partsOf(port), duties);
  let closed = 0;
  const second = serveEdge(partsOf(port), { ...duties, targets: [closing(() => closed++)] });
  await expect(second).rejects.toThrow("EADDRINUSE");
  expect(closed).toBe(1);
  await first.stop();
});

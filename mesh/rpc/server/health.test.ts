import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { ProductService } from "../../../gen/shop/product/v1/product_service_pb.ts";
import { testServer } from "../../testing/server.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";
import { meshClient } from "../client/client.ts";

const service = ProductService.typeName;

describe.each(WIRE_PROTOCOLS)("health over $name", (protocol) => {
  async function healthOf() {
    const server = await testServer(ProductService, {});
    return { server, health: meshClient(Health, protocol.open(server)) };
  }

  test("Check says SERVING of the server and of its service", async () => {
    const { health } = await healthOf();
    expect(await health.check({})).toMatchObject({ status: Status.SERVING });
    expect(await health.check({ service })).toMatchObject({ status: Status.SERVING });
  });

  test("Check of a service that is not here is NOT_FOUND", async () => {
    const { health } = await healthOf();
    const call = health.check({ service: "shop.order.v1.OrderService" });
    await expect(call).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("List has the server and each service", async () => {
    const { health } = await healthOf();
    const { statuses } = await health.list({});
    expect(Object.entries(statuses).map(([name, { status }]) => [name, status])).toEqual([
      ["", Status.SERVING],
      [service, Status.SERVING],
    ]);
  });

  test.each(["", service])(
    "Watch of '%s' says SERVING, then NOT_SERVING when the server drains",
    async (name) => {
      const { server, health } = await healthOf();
      const statuses = health.watch({ service: name })[Symbol.asyncIterator]();
      expect((await statuses.next()).value).toMatchObject({ status: Status.SERVING });
      const next = statuses.next();
      const stopped = server.stop();
      expect((await next).value).toMatchObject({ status: Status.NOT_SERVING });
      await statuses.next();
      await stopped;
    },
  );

  test("Watch of a service that is not here says SERVICE_UNKNOWN", async () => {
    const { server, health } = await healthOf();
    const statuses = health.watch({ service: "shop.order.v1.OrderService" })[Symbol.asyncIterator]();
    expect((await statuses.next()).value).toMatchObject({ status: Status.SERVICE_UNKNOWN });
    const stopped = server.stop();
    expect(await statuses.next()).toMatchObject({ done: true });
    await stopped;
  });
});

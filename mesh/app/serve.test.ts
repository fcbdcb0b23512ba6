import { createServer, type Server } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { freePort } from "../../tools/local/ports.ts";
import { policies } from "../contract/policy.ts";
import { readConfig } from "../core/config.ts";
import { silentLog } from "../core/log.ts";
import { publish, send } from "../events/publish.ts";
import { openNats } from "../nats/connection.ts";
import { meshClient, type OpenTarget, openTarget } from "../rpc/client/client.ts";
import { connect } from "../store/connect.ts";
import { transaction } from "../store/transaction.ts";
import { noTelemetry } from "../telemetry/telemetry.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { type Toys, toys } from "../testing/toys.ts";
import { until } from "../testing/until.ts";
import type { Parts } from "./parts.ts";
import { type App, type Duties, serve } from "./serve.ts";
import { portSetting, serviceSettings } from "./settings.ts";

const HOST = "127.0.0.1";
const broker = await testBroker();
const { url: databaseUrl, sql: watcher } = await meshDatabase();

/** The sockets and servers that this process holds. */
const handles = () =>
  process
    .getActiveResourcesInfo()
    .filter((name) => name.startsWith("TCP"))
    .sort();

let count = 0;

/** The parts of a service of which nothing runs yet. */
function openTestParts(port = 0): Parts {
  const service = `app-${++count}`;
  return {
    service,
    log: silentLog,
    sql: connect({ url: databaseUrl, name: service }),
    databaseUrl,
    nats: openNats({ url: broker.url, name: service, log: silentLog }),
    config: readConfig(
      { ...serviceSettings, port: portSetting(0) },
      { PORT: String(port), DATABASE_URL: databaseUrl, NATS_URL: broker.url, MESH_AUTH: "off" },
    ),
    telemetry: noTelemetry,
    policies: policies(),
    clients: {},
  };
}

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

const sessionsOf = async (name: string) =>
  (await watcher`SELECT 1 FROM pg_stat_activity WHERE application_name = ${name}`).length;

function dutiesOf(contract: Toys, routes: Partial<ServiceImpl<typeof OrderService>> = {}): Duties {
  return {
    contract: OrderService,
    routes: (router) => router.service(OrderService, routes),
    publishes: contract.Moved,
  };
}

function clientOf<S extends DescService>(service: S, { port }: App) {
  const way = openTarget({
    target: { scheme: "static", endpoints: [{ host: HOST, port }] },
    protocol: "grpc",
  });
  atEnd(async () => way.close());
  return meshClient(service, way);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, HOST, () => resolve(true));
  });
  await close(server);
  return free;
}

const close = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

test("a service answers, is healthy, and carries its events away", async () => {
  const contract = toys();
  const parts = openTestParts();
  const app = await serve(
    parts,
    dutiesOf(contract, {
      getOrder: async ({ orderId }) => {
        await transaction(parts.sql, (tx) => publish(tx, contract.Moved, { toyId: orderId }));
        return { order: { orderId } };
      },
    }),
  );
  atEnd(() => app.stop());
  const health = await clientOf(Health, app).check({ service: OrderService.typeName });
  expect(health.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
  expect((await clientOf(OrderService, app).getOrder({ orderId: "a" })).order?.orderId).toBe("a");
  await until(async () => {
    const rows = await watcher`
      SELECT 1 FROM outbox WHERE stream = ${contract.stream} AND published_at IS NOT NULL`;
    return rows.length === 1;
  });
  // Operators see what it publishes.
  const { streams } = await clientOf(OutboxAdminService, app).getOutboxStats({});
  expect(streams).toMatchObject([
    { stream: contract.stream, leads: true, lastStreamSeq: 1n },
    { stream: "DLQ" },
  ]);
});

test("a service carries the commands that it sends, as their sender", async () => {
  const { Fetch, aggregate } = toys();
  const parts = openTestParts();
  const app = await serve(parts, { ...dutiesOf(toys()), sends: [Fetch] });
  atEnd(() => app.stop());
  await transaction(parts.sql, (tx) => send(tx, Fetch, { toyId: "a" }));
  const { connection } = await parts.nats.online(AbortSignal.timeout(20_000));
  const { streams } = await jetstreamManager(connection, { checkAPI: false });
  const stream = `CMD_${aggregate.toUpperCase()}`;
  const stored = await until(
    async () => (await streams.getMessage(stream, { seq: 1 }).catch(() => null)) ?? false,
  );
  expect(stored.subject).toMatch(new RegExp(`^cmd\\.${aggregate}\\.v1\\.p\\d\\d\\.Fetch$`));
  expect(stored.header.get("ce-source")).toBe(`/shop/${parts.service}`);
});

test("a service that has stopped leaves its port free, and no connection or server open", async () => {
  // So that it is there before and after.
  await watcher`SELECT 1`;
  const before = handles();
  const parts = openTestParts();
  const closed: string[] = [];
  const app = await serve(parts, {
    ...dutiesOf(toys()),
    targets: [closing(() => void closed.push("target"))],
  });
  await parts.sql`SELECT 1`;
  await parts.nats.online(AbortSignal.timeout(20_000));
  expect(await isFree(app.port)).toBe(false);
  expect(handles().length).toBeGreaterThan(before.length);
  await app.stop();
  expect(await isFree(app.port)).toBe(true);
  expect(closed).toEqual(["target"]);
  await until(async () => (await sessionsOf(parts.service)) === 0);
  await until(() => handles().length <= before.length);
});

test("a call that runs when the service is stopped ends well, with its effect", async () => {
  const contract = toys();
  const parts = openTestParts();
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const app = await serve(
    parts,
    dutiesOf(contract, {
      getOrder: async ({ orderId }) => {
        begun.resolve();
        await goOn.promise;
        await transaction(parts.sql, (tx) => publish(tx, contract.Moved, { toyId: orderId }));
        return { order: { orderId } };
      },
    }),
  );
  const call = clientOf(OrderService, app).getOrder({ orderId: "a" });
  await begun.promise;
  const stopped = app.stop();
  goOn.resolve();
  expect((await call).order?.orderId).toBe("a");
  await stopped;
  expect(await watcher`SELECT 1 FROM outbox WHERE stream = ${contract.stream}`).toHaveLength(1);
});

test("a service whose port is taken does not start, and closes its parts", async () => {
  await watcher`SELECT 1`;
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, HOST, resolve));
  atEnd(() => close(other));
  const { port } = other.address() as { port: number };
  const before = handles();
  const parts = openTestParts(port);
  const closed: string[] = [];
  const starting = serve(parts, {
    ...dutiesOf(toys()),
    targets: [closing(() => void closed.push("target"))],
  });
  await expect(starting).rejects.toThrow("EADDRINUSE");
  expect(closed).toEqual(["target"]);
  await expect(parts.sql`SELECT 1`).rejects.toThrow("CONNECTION_ENDED");
  await until(() => handles().length <= before.length);
});

test("a service whose handlers are not those of its contract does not start, and frees its port", async () => {
  const port = await freePort();
  const parts = openTestParts(port);
  const starting = serve(parts, { ...dutiesOf(toys()), handles: { payments: [] } });
  await expect(starting).rejects.toThrow("nothing handles shop.payment.v1.PaymentRefunded");
  expect(await isFree(port)).toBe(true);
  await expect(parts.sql`SELECT 1`).rejects.toThrow("CONNECTION_ENDED");
});

test("a service starts and stops while the broker is away", async () => {
  await broker.stop();
  const app = await serve(openTestParts(), dutiesOf(toys()));
  const health = await clientOf(Health, app).check({ service: OrderService.typeName });
  expect(health.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
  await app.stop();
  await broker.start();
});

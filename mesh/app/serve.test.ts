import { createServer, type Server } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { jetstreamManager } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { OutboxAdminService } from "../../gen/mesh/admin/v1/outbox_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { freePort } from "../../tools/local/ports.ts";
import { on } from "../events/handlers.ts";
import { publish, send } from "../events/publish.ts";
import { meshClient, type OpenTarget, openTarget } from "../rpc/client/client.ts";
import { dataPlaneOf } from "../rpc/data-planes.ts";
import { transaction } from "../store/transaction.ts";
import { atEnd } from "../testing/at-end.ts";
import { testBroker } from "../testing/broker.ts";
import { meshDatabase } from "../testing/mesh-database.ts";
import { testParts } from "../testing/parts.ts";
import { type Toys, toys } from "../testing/toys.ts";
import { until } from "../testing/until.ts";
import type { Parts } from "./parts.ts";
import { type App, type Duties, serve } from "./serve.ts";

const HOST = "127.0.0.1";
const broker = await testBroker();
const { url: databaseUrl, sql: watcher } = await meshDatabase();

/** The sockets and servers that this process holds. */
const handles = () =>
  process
    .getActiveResourcesInfo()
    .filter((name) => name.startsWith("TCP"))
    .sort();

/** The parts of the service that owns these toys, of which nothing runs yet. */
function openTestParts({ aggregate }: Toys, port = 0): Promise<Parts> {
  return testParts({ service: aggregate, databaseUrl, port });
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

function dutiesOf(contract: Toys, routes: Partial<ServiceImpl<typeof PaymentService>> = {}): Duties {
  return {
    contract: PaymentService,
    routes: (router) => router.service(PaymentService, routes),
    publishes: contract.Moved,
  };
}

/** Calls each time once, so that what a handler does is done once however slow the machine is. */
function clientOf<S extends DescService>(service: S, { port }: App) {
  const way = dataPlaneOf().grpc({ host: HOST, port }, { interceptors: [], maxMessageBytes: 2 ** 20 });
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
  const parts = await openTestParts(contract);
  const app = await serve(
    parts,
    dutiesOf(contract, {
      getPayment: async ({ orderId }) => {
        await transaction(parts.sql, (tx) => publish(tx, contract.Moved, { toyId: orderId }));
        return { payment: { orderId } };
      },
    }),
  );
  atEnd(() => app.stop());
  const health = await clientOf(Health, app).check({ service: PaymentService.typeName });
  expect(health.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
  expect((await clientOf(PaymentService, app).getPayment({ orderId: "a" })).payment?.orderId).toBe("a");
  // Operators see what it publishes.
  const streams = await until(async () => {
    const stats = await clientOf(OutboxAdminService, app).getOutboxStats({});
    return stats.streams[0]?.pending === 0n && stats.streams[0].leads && stats.streams;
  });
  expect(streams).toMatchObject([{ stream: contract.stream, lastStreamSeq: 1n }, { stream: "DLQ" }]);
});

test("a service carries the commands that it sends, as their sender", async () => {
  const contract = toys();
  const parts = await openTestParts(contract);
  const { Fetch, aggregate } = toys({}, { senders: [parts.service] });
  const app = await serve(parts, { ...dutiesOf(contract), sends: [Fetch] });
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

test("a service that sends a command whose contract does not name it does not start, and frees its port", async () => {
  const port = await freePort();
  const contract = toys();
  const parts = await openTestParts(contract, port);
  const { Fetch } = toys({}, { senders: ["another"] });
  const starting = serve(parts, { ...dutiesOf(contract), sends: [Fetch] });
  await expect(starting).rejects.toThrow(
    `${parts.service} sends ${Fetch.typeName}, whose contract does not name it among the senders`,
  );
  expect(await isFree(port)).toBe(true);
});

test("a service that publishes the events of another does not start, and frees its port", async () => {
  const port = await freePort();
  const [own, others] = [toys(), toys()];
  const starting = serve(await openTestParts(own, port), dutiesOf(others));
  await expect(starting).rejects.toThrow(
    `${own.aggregate} publishes ${others.Moved.typeName}, which its contract says is ${others.aggregate}'s`,
  );
  expect(await isFree(port)).toBe(true);
});

test("a service may send commands to itself, though its contract names others as senders", async () => {
  const contract = toys({}, { senders: ["another"] });
  const parts = await openTestParts(contract);
  const app = await serve(parts, { ...dutiesOf(contract), sends: [contract.Fetch] });
  await app.stop();
});

test("a service that has stopped leaves its port free, and no connection or server open", async () => {
  // So that it is there before and after.
  await watcher`SELECT 1`;
  const before = handles();
  const contract = toys();
  const parts = await openTestParts(contract);
  const closed: string[] = [];
  const app = await serve(parts, {
    ...dutiesOf(contract),
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
  const parts = await openTestParts(contract);
  const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const app = await serve(
    parts,
    dutiesOf(contract, {
      getPayment: async ({ orderId }) => {
        begun.resolve();
        await goOn.promise;
        await transaction(parts.sql, (tx) => publish(tx, contract.Moved, { toyId: orderId }));
        return { payment: { orderId } };
      },
    }),
  );
  const call = clientOf(PaymentService, app).getPayment({ orderId: "a" });
  await begun.promise;
  const stopped = app.stop();
  goOn.resolve();
  expect((await call).payment?.orderId).toBe("a");
  await stopped;
  expect(await watcher`SELECT 1 FROM outbox WHERE stream = ${contract.stream}`).toHaveLength(1);
});

test("a service that stops says so first, and takes calls for as long as it was told", async () => {
  const contract = toys();
  const parts = await openTestParts(contract);
  const config = { ...parts.config, drainDelayMs: 100 };
  const routes = { getPayment: ({ orderId }: { orderId: string }) => ({ payment: { orderId } }) };
  const app = await serve({ ...parts, config }, dutiesOf(contract, routes));
  const [payments, health] = [clientOf(PaymentService, app), clientOf(Health, app)];
  await payments.getPayment({ orderId: "a" });
  const startedMs = performance.now();
  const left = app.leave();
  const { NOT_SERVING } = HealthCheckResponse_ServingStatus;
  await until(async () => (await health.check({})).status === NOT_SERVING);
  await left;
  expect(performance.now() - startedMs).toBeGreaterThanOrEqual(95);
  expect((await payments.getPayment({ orderId: "b" })).payment?.orderId).toBe("b");
  await app.stop();
  expect(await isFree(app.port)).toBe(true);
});

test("a service whose port is taken does not start, and closes its parts", async () => {
  await watcher`SELECT 1`;
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, HOST, resolve));
  atEnd(() => close(other));
  const { port } = other.address() as { port: number };
  const before = handles();
  const contract = toys();
  const parts = await openTestParts(contract, port);
  const closed: string[] = [];
  const starting = serve(parts, {
    ...dutiesOf(contract),
    targets: [closing(() => void closed.push("target"))],
  });
  await expect(starting).rejects.toThrow("EADDRINUSE");
  expect(closed).toEqual(["target"]);
  await expect(parts.sql`SELECT 1`).rejects.toThrow("CONNECTION_ENDED");
  await until(() => handles().length <= before.length);
});

test("a service that forgets a subscription of its contract does not start, and frees its port", async () => {
  const port = await freePort();
  const contract = toys();
  const starting = serve(await openTestParts(contract, port), {
    ...dutiesOf(contract),
    contract: contract.service,
    routes: () => {},
    handles: { moves: [on(contract.Moved, async () => {})] },
  });
  await expect(starting).rejects.toThrow(
    `nothing handles the subscriptions of ${contract.service.typeName}: "commands"`,
  );
  expect(await isFree(port)).toBe(true);
});

test("a service whose handlers are not those of its contract does not start, and frees its port", async () => {
  const port = await freePort();
  const contract = toys();
  const parts = await openTestParts(contract, port);
  const starting = serve(parts, {
    ...dutiesOf(contract),
    contract: OrderService,
    handles: { payments: [], products: [], customers: [] },
  });
  await expect(starting).rejects.toThrow("nothing handles shop.payment.v1.PaymentRefunded");
  expect(await isFree(port)).toBe(true);
  await expect(parts.sql`SELECT 1`).rejects.toThrow("CONNECTION_ENDED");
});

test("a service starts and stops while the broker is away", async () => {
  await broker.stop();
  const contract = toys();
  const app = await serve(await openTestParts(contract), dutiesOf(contract));
  const health = await clientOf(Health, app).check({ service: PaymentService.typeName });
  expect(health.status).toBe(HealthCheckResponse_ServingStatus.SERVING);
  await app.stop();
  await broker.start();
});

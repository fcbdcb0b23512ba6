import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AdminService, BreakerOrder, Serving } from "../../gen/mesh/admin/v1/admin_service_pb.ts";
import { meshClient } from "../rpc/client/client.ts";
import { type FaultSettings, faultsOnDemand } from "../rpc/server/faults.ts";
import { operatorsBy } from "../rpc/server/operators.ts";
import type { MeshServer } from "../rpc/server/server.ts";
import { refusalOf } from "../testing/refusal.ts";
import { scriptedBackend, UNAVAILABLE } from "../testing/scripted-backend.ts";
import { testServer } from "../testing/server.ts";
import { countable, duration, toyTarget } from "../testing/toy-client.ts";
import { WIRE_PROTOCOLS } from "../testing/wire-protocols.ts";
import { adminService } from "./admin.ts";

const NO_RETRY = { case: "retry" as const, value: { maxAttempts: 1 } };
// Far longer than any test, however slow the machine is.
const OPEN_LONG = { openBase: duration(600_000), openMax: duration(600_000) };

/** An instance that calls two endpoints of a toy service, and a client of its AdminService. */
async function administered(
  token = "",
  settings: FaultSettings = { isOn: true, faults: [] },
  service = countable({ service: { breaker: OPEN_LONG, defaults: { redundancy: NO_RETRY } } }),
) {
  const [a, b] = [
    await scriptedBackend({ protocol: "grpc", service }),
    await scriptedBackend({ protocol: "grpc", service }),
  ];
  const target = toyTarget("grpc", service, [a.endpoint, b.endpoint]);
  const operators = operatorsBy(token);
  const faults = faultsOnDemand({ settings, isOperator: operators.isOperator });
  let server: MeshServer | undefined;
  const handlers = adminService({
    service: "order",
    instance: "order-1",
    server: () => server,
    targets: [target],
    faults,
    operators,
  });
  const running = await testServer(AdminService, handlers, {
    services: [service, AdminService],
    routes(router) {
      router.service(AdminService, handlers);
      router.service(service, { ask: ({ text }) => ({ text }) });
    },
    faults: faults.interceptor,
  });
  server = running;
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  const transport = protocol.open(running);
  const admin = createClient(AdminService, transport);
  const own = createClient(service, transport);
  return { admin, own, a, b, target, toys: meshClient(service, target), url: running.url };
}

test("the state tells of the endpoints that an instance calls: breakers, attempts, budget and last errors", async () => {
  const { admin, a, b, target, toys } = await administered();
  a.always(UNAVAILABLE);
  for (let call = 0; call < 5; call++) await toys.ask({}).catch(() => {});
  await toys.ask({});
  const { service, instance, server, targets, faults } = await admin.getState({});
  expect([service, instance, faults]).toEqual(["order", "order-1", []]);
  expect(server).toMatchObject({ limit: 20, queued: 0, draining: false });
  expect(targets).toHaveLength(1);
  const [seen] = targets;
  expect(seen).toMatchObject({ target: target.name, protocol: "grpc", inflight: 0, inflightLimit: 256 });
  expect(seen?.retryBalance).toBeGreaterThan(1);
  const [first, second] = seen?.endpoints ?? [];
  expect(first).toMatchObject({
    address: a.address,
    serving: Serving.UNSPECIFIED,
    breaker: { state: "OPEN", failures: 5, calls: 5, trips: 1 },
    attempts: 5n,
    lastError: "[unavailable] as the script says",
  });
  expect(first?.breaker?.probesIn).toBeDefined();
  expect(first?.lastErrorTime).toBeDefined();
  expect(second).toMatchObject({
    address: b.address,
    breaker: { state: "CLOSED", failures: 0, calls: 1 },
    attempts: 1n,
    lastError: "",
  });
});

test("the state tells of the budget of each method that is hedged", async () => {
  const value = { maxExtraLoad: 0.5 };
  const service = countable({ ask: { redundancy: { case: "hedge", value } } });
  const { admin, toys } = await administered("", undefined, service);
  for (let call = 0; call < 3; call++) await toys.ask({});
  const [seen] = (await admin.getState({})).targets;
  expect(seen?.hedgeBalances).toEqual({ [`${service.typeName}/Ask`]: 1.5 });
});

test("a breaker that an operator keeps open is passed by until the order is taken back", async () => {
  const { admin, a, b, target, toys } = await administered();
  const where = { target: target.name, address: a.address };
  const { endpoint } = await admin.orderBreaker({ ...where, order: BreakerOrder.FORCED_OPEN });
  expect(endpoint?.breaker).toMatchObject({ order: BreakerOrder.FORCED_OPEN });
  for (let call = 0; call < 3; call++) await toys.ask({});
  expect([a.attempts.length, b.attempts.length]).toEqual([0, 3]);
  // The only other one is kept open too: nothing is sent, whatever the panic rule says.
  await admin.orderBreaker({ target: target.name, address: b.address, order: BreakerOrder.FORCED_OPEN });
  expect(await refusalOf(toys.ask({}))).toMatchObject({ reason: "BREAKER_OPEN" });
  await admin.orderBreaker(where);
  await toys.ask({});
  expect(a.attempts).toHaveLength(1);
});

test("an order for an endpoint that is not called is refused", async () => {
  const { admin, target } = await administered();
  const order = { target: target.name, address: "127.0.0.1:1", order: BreakerOrder.DISABLED };
  expect(await refusalOf(admin.orderBreaker(order))).toMatchObject({
    code: "NotFound",
    reason: "ENDPOINT_NOT_FOUND",
  });
});

test("faults are switched on while the instance runs, shown and switched off; administration goes on", async () => {
  const { admin, own } = await administered();
  await own.ask({});
  const set = await admin.setFaults({ faults: [{ method: "*", code: 5 }] });
  expect(set.faults).toMatchObject([{ method: "*", code: 5 }]);
  expect(await refusalOf(own.ask({}))).toMatchObject({ code: "NotFound", reason: "FAULT_INJECTED" });
  expect((await admin.getState({})).faults).toHaveLength(1);
  await admin.setFaults({});
  expect((await admin.getState({})).faults).toEqual([]);
  await own.ask({});
});

test("where faults are off, no operator switches them on", async () => {
  const { admin, own } = await administered("", { isOn: false, faults: [] });
  const refused = await refusalOf(admin.setFaults({ faults: [{ method: "*", code: 5 }] }));
  expect(refused).toMatchObject({ code: "FailedPrecondition", reason: "FAULTS_OFF" });
  expect((await admin.getState({})).faults).toEqual([]);
  await own.ask({});
});

test("one call fails by its headers for who has the operators' token, and for nobody else", async () => {
  const { own } = await administered("the-token");
  const abort = { "x-envoy-fault-abort-grpc-request": "5" };
  await own.ask({}, { headers: abort });
  const headers = { ...abort, "mesh-operator-token": "the-token" };
  expect(await refusalOf(own.ask({}, { headers }))).toMatchObject({ reason: "FAULT_INJECTED" });
});

test("who knows an instance by reflection alone can read its state", async () => {
  const { url, target, a } = await administered();
  const buf = resolve(import.meta.dirname, "../../node_modules/.bin/buf");
  const method = `${url}/${AdminService.typeName}/GetState`;
  const args = ["curl", "--http2-prior-knowledge", "--protocol", "grpc", method];
  // Away from this repository's own contracts.
  const { stdout } = await promisify(execFile)(buf, args, { cwd: tmpdir() });
  expect(JSON.parse(stdout)).toMatchObject({
    instance: "order-1",
    targets: [{ target: target.name, endpoints: [{ address: a.address }, {}] }],
  });
});

test("a fault that could never be is refused, with its field", async () => {
  const { admin } = await administered();
  const refused = await refusalOf(admin.setFaults({ faults: [{ method: "*", codePercent: 101 }] }));
  expect(refused).toMatchObject({ code: "InvalidArgument", fields: ["faults[0].code_percent"] });
});

test("where operators have a token, nobody sees or does anything without it", async () => {
  const { admin } = await administered("the-token");
  const refused = { code: "PermissionDenied", reason: "OPERATORS_ONLY", domain: "mesh.weft" };
  for (const token of [undefined, "", "the-token2", "THE-TOKEN"]) {
    const headers: Record<string, string> = token === undefined ? {} : { "mesh-operator-token": token };
    expect(await refusalOf(admin.getState({}, { headers }))).toEqual(refused);
    expect(await refusalOf(admin.setFaults({}, { headers }))).toEqual(refused);
    expect(await refusalOf(admin.orderBreaker({ target: "t", address: "a" }, { headers }))).toEqual(refused);
  }
  const headers = { "mesh-operator-token": "the-token" };
  expect((await admin.getState({}, { headers })).instance).toBe("order-1");
});

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { createTransport } from "nodemailer";
import postgres from "postgres";
import { expect, onTestFinished, test, vi } from "vitest";
import { writeFakeServices } from "../tools/local/fake-services.ts";
import { isRunning } from "../tools/local/processes.ts";
import { resetSystem } from "../tools/local/reset.ts";
import type { SystemOptions } from "../tools/local/system.ts";
import { tempDir } from "../tools/local/temp-dir.ts";
import { startSystem } from "./run.ts";

// Every test starts servers and processes, on a machine that may be busy with other tests.
vi.setConfig({ testTimeout: 60_000 });

const SERVICES = ["product", "review", "order", "payment", "customer", "notification", "audit", "gateway"];

async function start({
  scripts = {},
  ...options
}: SystemOptions & { scripts?: Record<string, string> } = {}) {
  const dataDir = options.dataDir ?? join(tempDir(), "data");
  const servicesDir = writeFakeServices(join(tempDir(), "services"), SERVICES, scripts);
  const said: string[] = [];
  onTestFinished(() => resetSystem(dataDir, () => {}));
  const system = await startSystem({
    ports: "free",
    dataDir,
    servicesDir,
    say: (line) => said.push(line),
    ...options,
  });
  onTestFinished(() => system.stop());
  const envOf = async (port: number) =>
    (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as Record<string, string>;
  const instance = (name: string) =>
    system.instances.find((each) => each.instance === name) as (typeof system.instances)[0];
  return { system, dataDir, said, instance, envOf };
}

const pidsOf = ({ system }: Awaited<ReturnType<typeof start>>) =>
  [...system.instances, system.servers.postgres, system.servers.nats].map((each) => each?.pid as number);

const isServing = async (natsUrl: string) => (await connect({ servers: natsUrl, reconnect: false })).close();

test("every service runs, product twice, with what it needs and no secret of another", async () => {
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "not for services");
  vi.stubEnv("PRODUCT_TRANSPORT", "connect");
  vi.stubEnv("PAYMENT_TARGET", "static:///127.0.0.1:7");
  vi.stubEnv("MESH_POLICY_FILE", "here.json");
  onTestFinished(() => void vi.unstubAllEnvs());
  const { system, instance, envOf, dataDir, said } = await start({ env: { EXTRA: "1" } });
  expect(said.join()).toContain(
    "open there without a token (MESH_AUTH=off), the gateway for callers with a token; faults on demand: MESH_FAULTS=on",
  );
  expect(system.instances.map((each) => each.instance)).toEqual([
    ...[
      "product-1",
      "product-2",
      "review-1",
      "order-1",
      "payment-1",
      "customer-1",
      "notification-1",
      "audit-1",
      "gateway-1",
    ],
  ]);
  const order = await envOf(instance("order-1").port);
  expect(order).toMatchObject({
    PORT: String(instance("order-1").port),
    ...{ HOST: "127.0.0.1", INSTANCE: "order-1", SEED: "demo", MESH_AUTH: "off", EXTRA: "1" },
    DATABASE_URL: system.databaseUrls.order,
    NATS_URL: system.natsUrl,
    PRODUCT_TRANSPORT: "connect",
    PRODUCT_TARGET: "nats:///product",
    PAYMENT_TARGET: "static:///127.0.0.1:7",
    CUSTOMER_TARGET: "nats:///customer",
    ...{ MESH_FAULTS: "on", MESH_METRICS_BY_ENDPOINT: "true", MESH_POLICY_FILE: "here.json" },
  });
  const gateway = await envOf(instance("gateway-1").port);
  expect(gateway).toMatchObject({ AUDIT_TARGET: "nats:///audit", ORDER_TARGET: "nats:///order" });
  expect(gateway.DATABASE_URL).toBeUndefined();
  const keysOfPeople = `http://${system.address("customer")}/.well-known/jwks.json`;
  expect([order.MESH_JWKS_URL, gateway.MESH_JWKS_URL]).toEqual([keysOfPeople, keysOfPeople]);
  // Where nobody is asked, there is nothing to prove.
  expect([order.MESH_OPERATOR_TOKEN, order.MESH_SERVICE_KEY]).toEqual([undefined, undefined]);
  expect(gateway.MESH_OPERATOR_TOKEN).toMatch(/^[0-9a-f]{48}$/);
  expect(system.address("product")).toBe(`127.0.0.1:${instance("product-1").port}`);
  const payment = await envOf(instance("payment-1").port);
  expect(Object.keys(payment).filter((name) => /_TARGET|_TRANSPORT|AWS/.test(name))).toEqual([]);
  const password = new URL(system.databaseUrls.payment).password;
  expect(JSON.stringify(payment)).toContain(password);
  expect(JSON.stringify(order)).not.toContain(password);
  expect(statSync(join(dataDir, "secrets.json")).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(dataDir, "logs/order-1.log"), "utf8")).toContain('"msg":"listens"');
});

test("with MESH_AUTH=enforce each service has a key of its own, and the gateway none", async () => {
  const { system, instance, envOf, dataDir, said } = await start({ env: { MESH_AUTH: "enforce" } });
  expect(said.join()).toContain("for callers with a token (MESH_AUTH=enforce)");
  const order = await envOf(instance("order-1").port);
  const payment = await envOf(instance("payment-1").port);
  expect(order.MESH_SERVICE_KEY).toBe(join(dataDir, "service-keys/order.private.json"));
  expect(payment.MESH_SERVICE_KEY).toBe(join(dataDir, "service-keys/payment.private.json"));
  expect(statSync(payment.MESH_SERVICE_KEY ?? "").mode & 0o777).toBe(0o600);
  expect(order.MESH_OPERATOR_TOKEN).toMatch(/^[0-9a-f]{48}$/);
  const gateway = await envOf(instance("gateway-1").port);
  expect([gateway.MESH_SERVICE_KEY, gateway.MESH_SERVICE_KEYS]).toEqual([undefined, undefined]);
  expect(system.instances).toHaveLength(9);
});

test("a service runs as often as it is scaled to, and only notification is told of the mail server", async () => {
  const { system, instance, envOf, dataDir } = await start({ scale: { product: 1, order: 2 } });
  expect(system.instances.map((each) => each.instance)).toEqual([
    ...[
      "product-1",
      "review-1",
      "order-1",
      "order-2",
      "payment-1",
      "customer-1",
      "notification-1",
      "audit-1",
      "gateway-1",
    ],
  ]);
  expect((await envOf(instance("order-2").port)).SMTP_URL).toBeUndefined();
  const { SMTP_URL } = await envOf(instance("notification-1").port);
  expect(SMTP_URL).toBe(system.mail?.smtpUrl);
  await createTransport(SMTP_URL).sendMail({ from: "a@example.com", to: "b@example.com", subject: "one" });
  expect(system.mail?.mails).toMatchObject([{ subject: "one", to: ["b@example.com"] }]);
  expect(readFileSync(join(dataDir, "mails.jsonl"), "utf8")).toContain('"subject":"one"');
});

test("a mail server of one's own is used, and none is started", async () => {
  const { system, instance, envOf } = await start({ smtpUrl: "smtp://127.0.0.1:9" });
  expect(system.mail).toBeUndefined();
  expect(await envOf(instance("notification-1").port)).toMatchObject({ SMTP_URL: "smtp://127.0.0.1:9" });
});

test("each service has a database of its own, which outlives a stop; a stop leaves no process", async () => {
  const first = await start();
  const pids = pidsOf(first);
  const sql = postgres(first.system.databaseUrls.order, { max: 1 });
  await sql`create table kept as select 7 as n, current_user as owner`;
  await sql.end();
  await first.system.stop();
  // product twice, PostgreSQL and NATS
  expect(pids).toHaveLength(SERVICES.length + 3);
  expect(pids.filter(isRunning)).toEqual([]);
  expect(existsSync(join(first.dataDir, "run.pid"))).toBe(false);

  const { system } = await start({ dataDir: first.dataDir });
  const again = postgres(system.databaseUrls.order, { max: 1 });
  expect([...(await again`select * from kept`)]).toEqual([{ n: 7, owner: "weft_order" }]);
  await again.end();
});

test("whatever is killed comes back on its port: a service, NATS, PostgreSQL", async () => {
  const { system, said, instance, envOf } = await start();
  const before = instance("order-1").pid;
  system.kill("order-1", "SIGKILL");
  await vi.waitFor(() => envOf(instance("order-1").port), { timeout: 10_000 });
  expect(instance("order-1").pid).not.toBe(before);
  expect(said).toContain("order-1 died (SIGKILL), starts again at once");

  system.kill("nats", "SIGKILL");
  system.kill("postgres", "SIGKILL");
  await vi.waitFor(() => isServing(system.natsUrl), { timeout: 10_000 });
  await vi.waitFor(
    async () => {
      const sql = postgres(system.adminDatabaseUrl, { max: 1 });
      await sql`select 1`.finally(() => sql.end());
    },
    { timeout: 15_000 },
  );
  expect(() => system.kill("gateway", "SIGKILL")).toThrow(
    /no part of its own named gateway; its parts: product-1/,
  );
});

test("a part can be halted and resumed, and a service restarted in order", async () => {
  const { system, instance, envOf } = await start();
  await system.halt("nats");
  await expect(isServing(system.natsUrl)).rejects.toThrow();
  await system.resume("nats");
  await isServing(system.natsUrl);
  const before = ["product-1", "product-2"].map((name) => instance(name).pid);
  await system.restart("product");
  await envOf(instance("product-1").port);
  for (const [index, name] of ["product-1", "product-2"].entries())
    expect(instance(name).pid).not.toBe(before[index]);
});

test("a data folder has one system at a time", async () => {
  const { dataDir } = await start();
  await expect(startSystem({ ports: "free", dataDir })).rejects.toThrow(/already runs/);
  await expect(resetSystem(dataDir, () => {})).rejects.toThrow(/Stop it first/);
  expect(existsSync(join(dataDir, "secrets.json"))).toBe(true);
});

test("servers that are given are used, and neither started nor stopped", async () => {
  const lender = await start();
  const { adminDatabaseUrl: databaseUrl, natsUrl } = lender.system;
  const { system } = await start({ databaseUrl, natsUrl, databasePrefix: "guest_" });
  expect(system.servers).toMatchObject({ postgres: undefined, nats: undefined });
  expect(new URL(system.databaseUrls.order).pathname).toBe("/guest_order");
  await system.stop();
  await isServing(natsUrl);
});

test("a service that does not stay up ends the start, quoted, and nothing is left running", async () => {
  const dataDir = join(tempDir(), "data");
  const started: number[] = [];
  const failed = start({
    dataDir,
    scripts: { payment: "console.log(process.pid); throw new Error('no table payments')" },
    onLine: (_instance, line) => void (/^\d+$/.test(line) && started.push(Number(line))),
  });
  await expect(failed).rejects.toThrow(
    /payment-1 does not stay up\. Its last lines:\n[\s\S]*no table payments/,
  );
  expect(started.length).toBeGreaterThan(1);
  expect(started.filter(isRunning)).toEqual([]);
  expect(existsSync(join(dataDir, "run.pid"))).toBe(false);
});

test("a start can be given up", async () => {
  const abort = new AbortController();
  const failed = start({
    signal: abort.signal,
    say: (line) => void (line.startsWith("starting the services") && abort.abort()),
  });
  await expect(failed).rejects.toThrow(/abort/);
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { afterAll, expect, test } from "vitest";
import { AdminService } from "../gen/mesh/admin/v1/admin_service_pb.ts";
import { MethodPolicySchema } from "../gen/mesh/policy/v1/policy_pb.ts";
import { ProductService } from "../gen/shop/product/v1/product_service_pb.ts";
import { policies } from "../mesh/contract/policy.ts";
import { silentLog } from "../mesh/core/log.ts";
import type { Target } from "../mesh/discovery/target.ts";
import { openNats } from "../mesh/nats/connection.ts";
import { meshClient, openTarget } from "../mesh/rpc/client/client.ts";
import type { Protocol } from "../mesh/rpc/client/protocol.ts";
import { until } from "../mesh/testing/until.ts";
import { isHealthy } from "../tools/local/health.ts";
import { passedOn, startInstance } from "../tools/local/instance.ts";
import { freePort } from "../tools/local/ports.ts";
import { answered, openShop } from "./shop.ts";

const ROOT = resolve(import.meta.dirname, "..");
const HOST = "127.0.0.1";
const BATCH = "shop.product.v1.ProductService/BatchGetProducts";

const dir = mkdtempSync(join(tmpdir(), "weft-policies-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const policyFile = join(dir, "policies.json");
writeFileSync(policyFile, "{}");

const shop = await openShop({ MESH_POLICY_FILE: policyFile });
const { system } = shop;
const third = await thirdProduct();
const products = [...system.instances.filter(({ service }) => service === "product"), third];

/** Another process of the product service, beside the two that the shop has. */
async function thirdProduct() {
  const [instance, port] = ["product-3", await freePort()];
  const started = startInstance({
    service: "product",
    instance,
    port,
    command: [process.execPath, join(ROOT, "services/product/main.ts")],
    cwd: ROOT,
    env: {
      ...passedOn(process.env),
      ...{ HOST, PORT: String(port), INSTANCE: instance, MESH_AUTH: "off", MESH_FAULTS: "on" },
      ...{ DATABASE_URL: system.databaseUrls.product, NATS_URL: system.natsUrl },
    },
    logDir: join(shop.dataDir, "logs"),
    log: () => {},
    onLine: () => {},
    onStart: () => {},
  });
  afterAll(() => started.end());
  await started.untilHealthy(60_000);
  return started;
}

// Three processes that start at once may take a small machine longer than an attempt has by its contract. It is no failure
// of a restart, and what a restart does to a call shows all the same.
const PATIENT = policies({
  services: {},
  methods: {
    [BATCH]: create(MethodPolicySchema, {
      timeout: durationFromMs(40_000),
      redundancy: { case: "retry", value: { maxAttempts: 3, attemptTimeout: durationFromMs(10_000) } },
    }),
  },
});

/** Asks product over and over until it is told to stop, by each of these ways. */
function askOverAndOver(ways: readonly (readonly [Target, Protocol])[]) {
  const nats = openNats({ url: system.natsUrl, name: "test", log: silentLog });
  const targets = ways.map(([target, protocol]) =>
    openTarget({ target, protocol, service: ProductService }, { nats, policies: PATIENT }),
  );
  const failed: unknown[] = [];
  const answers = targets.map(() => 0);
  let isOver = false;
  const running = targets.flatMap((target, way) => {
    const client = meshClient(ProductService, target);
    return [1, 2].map(async () => {
      while (!isOver) {
        await client.batchGetProducts({ productIds: ["prod-espresso"] }).then(
          () => (answers[way] = (answers[way] ?? 0) + 1),
          (error) => failed.push(error),
        );
      }
    });
  });
  const stop = async () => {
    isOver = true;
    await Promise.all(running);
    for (const target of targets) target.close();
    await nats.close();
    return { failed, answers };
  };
  afterAll(stop);
  return { stop };
}

test("a rolling restart of three instances under load fails no call", async () => {
  const endpoints = products.map(({ port }) => ({ host: HOST, port }));
  const asking = askOverAndOver([
    [{ scheme: "nats", service: "product" }, "grpc"],
    [{ scheme: "static", endpoints }, "grpc"],
    [{ scheme: "static", endpoints }, "connect"],
  ]);
  for (const instance of products) {
    await until(async () => (await answered(instance, BATCH)) > 0);
    const { pid } = instance;
    process.kill(pid as number, "SIGTERM");
    await until(() => instance.pid !== undefined && instance.pid !== pid && isHealthy(instance.port));
    // Whoever comes back takes its part of the calls.
    await until(async () => (await answered(instance, BATCH)) > 0);
  }
  const { failed, answers } = await asking.stop();
  expect(failed).toEqual([]);
  for (const count of answers) expect(count).toBeGreaterThan(30);
  expect(products.map(({ restarts }) => restarts)).toEqual([1, 1, 1]);
}, 60_000);

test("a policy file is read again at SIGHUP: a timeout changes while the service runs; a bad file changes nothing", async () => {
  const order = system.instances.find(({ service }) => service === "order");
  const saidBy = (text: string) => async () =>
    (await readFile(join(shop.dataDir, "logs/order-1.log"), "utf8")).split(text).length - 1;
  const reload = async (policies: string, says: string) => {
    const count = saidBy(says);
    const before = await count();
    writeFileSync(policyFile, policies);
    system.kill("order-1", "SIGHUP");
    await until(async () => (await count()) > before);
  };
  const line = { productId: "prod-espresso", quantity: 1 };
  const place = () =>
    shop.orders.placeOrder({ customerId: "cust-ada", lines: [line], paymentToken: "tok_ok" });
  const within = (timeout: string) => {
    const retry = { maxAttempts: 1, attemptTimeout: timeout };
    return JSON.stringify({ methods: { [BATCH]: { timeout, retry } } });
  };

  // Not much longer than the timeout below: what cannot end in time by far, product would not begin.
  const delay = { method: BATCH, delay: { seconds: 0n, nanos: 900_000_000 } };
  for (const { port } of products) await setFaults(port, [delay]);
  const { pid, port } = order ?? {};
  // Prices that are not told in time are those that order last heard of.
  const guessed = async () => {
    const page = await (await fetch(`http://${HOST}:${port}/metrics`)).text();
    const line = page.split("\n").find((each) => each.startsWith("mesh_degraded") && each.includes(BATCH));
    return Number(line?.split(" ").at(-1) ?? 0);
  };
  // The contract's second for an attempt is not much more than the delay, and less on a busy machine.
  const patient = within("4s");
  await reload(patient, "policies read");
  await place();
  expect(await guessed()).toBe(0);

  await reload(within("0.7s"), "policies read");
  await place();
  expect(await guessed()).toBe(1);

  await reload(within("-1s"), "the policy file was not taken; what was in place stays");
  await place();
  expect(await guessed()).toBe(2);

  await reload(patient, "policies read");
  await place();
  expect(await guessed()).toBe(2);
  expect(order?.pid).toBe(pid);
});

async function setFaults(port: number, faults: readonly object[]): Promise<void> {
  const target = openTarget({
    target: { scheme: "static", endpoints: [{ host: HOST, port }] },
    protocol: "grpc",
  });
  await createClient(AdminService, target).setFaults({ faults: [...faults] });
  target.close();
}

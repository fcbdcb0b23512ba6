import { mkdtemp, readFile, rm } from "node:fs/promises";
import { arch, cpus, platform, release, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { startSystem } from "../services/run.ts";
import { clientsOf } from "../tests/shop.ts";
import { resetSystem } from "../tools/local/reset.ts";

const { values } = parseArgs({
  options: {
    callers: { type: "string", default: "32" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    "slow-half": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures the order path of a shop of its own: PlaceOrder alone, and until CONFIRMED.

  --callers N   calls at the same time (32)
  --seconds N   length of a round (10)
  --rounds N    rounds of each kind (3)
  --slow-half   half of the callers alone, then beside the other half, whose payments take 3 s: what the first half sees`);
  process.exit(0);
}
const [callers, seconds, rounds] = [values.callers, values.seconds, values.rounds].map(Number) as [
  number,
  number,
  number,
];

const dataDir = await mkdtemp(join(tmpdir(), "weft-bench-"));
const system = await startSystem({ ports: "free", dataDir, say: (line) => console.log(line) });
const shop = clientsOf(system);
const price = { currencyCode: "EUR", units: 1n, nanos: 0 };
const productIds = Array.from({ length: callers }, (_, i) => `bench-${i}`);
const all = productIds.map((productId) => ({ productId, paymentToken: "tok_ok" }));
const half = all.slice(0, callers / 2);
const slow = all.slice(callers / 2).map((each) => ({ ...each, paymentToken: "tok_slow" }));

try {
  for (const productId of productIds) {
    await shop.products.createProduct({
      product: { productId, name: productId, price, availableStock: 1_000_000 },
    });
  }
  console.log(
    `\n${platform()} ${release()} ${arch()}, ${cpus().length} x ${cpus()[0]?.model}, ` +
      `${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; everything on this machine`,
  );
  await round(2, true, all);
  const kinds: [string, boolean, typeof all][] = values["slow-half"]
    ? [
        ["PlaceOrder until CONFIRMED", true, half],
        ["the same beside a slow half", true, [...half, ...slow]],
      ]
    : [
        ["PlaceOrder until CONFIRMED", true, all],
        ["PlaceOrder, answered PENDING", false, all],
      ];
  const table: Record<string, unknown>[] = [];
  for (let i = 1; i <= rounds; i++) {
    for (const [kind, wait, who] of kinds) {
      table.push({ round: i, kind, ...(await round(seconds, wait, who)) });
    }
  }
  console.table(table);
  console.log(await memory());
} finally {
  shop.close();
  await system.stop();
  await resetSystem(dataDir, () => {});
  await rm(dataDir, { recursive: true, force: true });
}

/** Every caller orders its own product, one order after the other. Tells of those whose payment is not slow. */
async function round(forSeconds: number, wait: boolean, who: typeof all) {
  const times: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + forSeconds * 1_000;
  let last = "";
  let failed = 0;
  await Promise.all(
    who.map(async ({ productId, paymentToken }) => {
      while (performance.now() < endMs) {
        const beforeMs = performance.now();
        const isGood = await shop.orders
          .placeOrder(
            {
              customerId: "cust-ada",
              lines: [{ productId, quantity: 1 }],
              paymentToken,
              ...(wait && { wait: { seconds: 30n, nanos: 0 } }),
            },
            { timeoutMs: 40_000 },
          )
          .then(
            ({ order }) => {
              last = order?.orderId ?? "";
              return !wait || order?.state === OrderState.CONFIRMED;
            },
            () => false,
          );
        if (paymentToken !== "tok_ok") continue;
        if (isGood) times.push(performance.now() - beforeMs);
        else failed++;
      }
    }),
  );
  const took = (performance.now() - startMs) / 1_000;
  // What was accepted is let finish, so that a round does not pay for the one before.
  const { order } = await shop.orders.getOrder({ orderId: last });
  if (order?.state === OrderState.PENDING) {
    for await (const _ of shop.orders.watchOrder({ orderId: last }));
  }
  times.sort((a, b) => a - b);
  const at = (q: number) => Math.round((times[Math.floor(times.length * q)] ?? 0) * 10) / 10;
  return {
    orders: times.length,
    failed,
    perSecond: Math.round(times.length / took),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
  };
}

/** What all processes of the shop hold, shared pages counted once (Linux only). */
async function memory(): Promise<string> {
  const pids = [
    ...system.instances.map(({ pid }) => pid),
    system.servers.postgres?.pid,
    system.servers.nats?.pid,
  ];
  const sizes = await Promise.all(pids.map((pid) => proportionalMiB(pid).catch(() => Number.NaN)));
  const names = [...system.instances.map(({ instance }) => instance), "postgres (first process)", "nats"];
  const sum = Math.round(sizes.reduce((a, b) => a + b, 0));
  return `memory: ${sum} MiB (${names.map((name, i) => `${name} ${Math.round(sizes[i] ?? 0)}`).join(", ")})`;
}

async function proportionalMiB(pid: number | undefined): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]) / 1_024;
}

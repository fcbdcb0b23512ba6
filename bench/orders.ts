import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { startSystem } from "../services/run.ts";
import { clientsOf } from "../tests/shop.ts";
import { resetSystem } from "../tools/local/reset.ts";
import { load, machine } from "./machine.ts";

const { values } = parseArgs({
  options: {
    callers: { type: "string", default: "32" },
    seconds: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures the order path of a shop of its own: PlaceOrder until CONFIRMED, alone, and what half of the callers see
alone and beside the other half, whose payments take 3 s.

  --callers N   calls at the same time (32)
  --seconds N   length of a round (10)
  --rounds N    rounds of each kind (3)

The report goes to bench/results/orders.md.`);
  process.exit(0);
}
const [callers, seconds, rounds] = [values.callers, values.seconds, values.rounds].map(Number) as [
  number,
  number,
  number,
];

const RESULTS = join(import.meta.dirname, "results", "orders.md");
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
  const circumstances = `${machine()}; load before the run ${load()}; everything on this machine`;
  console.log(`\n${circumstances}`);
  await round(2, true, all);
  const kinds: [string, boolean, typeof all][] = [
    [`${callers} callers, until CONFIRMED`, true, all],
    [`${callers} callers, answered PENDING`, false, all],
    [`${half.length} callers, until CONFIRMED`, true, half],
    [`the same beside ${slow.length} whose payments take 3 s`, true, [...half, ...slow]],
  ];
  const rows: string[][] = [];
  for (let i = 1; i <= rounds; i++) {
    for (const [kind, wait, who] of kinds) {
      const { orders, failed, perSecond, p50Ms, p99Ms, why } = await round(seconds, wait, who);
      rows.push([kind, ...[i, orders, failed, perSecond, p50Ms, p99Ms, why].map(String)]);
      console.log(rows.at(-1)?.join("  "));
    }
  }
  const page = report(rows, `- ${circumstances}\n- ${await memory()}`);
  console.log(`\n${page}`);
  await mkdir(dirname(RESULTS), { recursive: true });
  await writeFile(RESULTS, page);
  console.log(`written to ${RESULTS}`);
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
  let why = "";
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
              if (!wait || order?.state === OrderState.CONFIRMED) return true;
              why ||= `state ${order?.state}`;
              return false;
            },
            (error) => {
              why ||= String(error);
              return false;
            },
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
    why,
  };
}

/** The rounds as a page of Markdown. */
function report(rows: readonly (readonly string[])[], circumstances: string): string {
  const head = [
    "PlaceOrder",
    "round",
    "orders",
    "failed",
    "orders/s",
    "p50 ms",
    "p99 ms",
    "the first that failed",
  ];
  const rule = head.map((_, i) => (i === 0 || i === head.length - 1 ? "---" : "--:"));
  const byKind = rows.toSorted(([a = ""], [b = ""]) => kindsOf(rows).indexOf(a) - kindsOf(rows).indexOf(b));
  return [
    "# The order path",
    `Written by \`make bench-orders\` on ${new Date().toISOString().slice(0, 10)}; the numbers are those of one machine.`,
    circumstances,
    `Each caller orders its own product, one order after the other, for ${seconds} s; the kinds take their turns in each of ` +
      `${rounds} rounds. What is told is what those see whose payments are not slow.`,
    [head, rule, ...byKind].map((cells) => `| ${cells.join(" | ")} |`).join("\n"),
    "",
  ]
    .join("\n\n")
    .replace(/\n+$/, "\n");
}

/** Each kind once, in the order in which they were measured. */
function kindsOf(rows: readonly (readonly string[])[]): string[] {
  return [...new Set(rows.map(([kind = ""]) => kind))];
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

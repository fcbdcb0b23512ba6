import type { ServiceImpl } from "@connectrpc/connect";
import { systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { currentWork } from "../../mesh/core/work.ts";
import { startServer } from "../../mesh/rpc/server/server.ts";
import { random } from "../../mesh/testing/random.ts";
import { SimulatedService, work } from "../../mesh/testing/simulator/contract.ts";
import { exponential, lognormal } from "../../mesh/testing/simulator/distributions.ts";
import { workers } from "../../mesh/testing/simulator/workers.ts";
import type { ServerPlan } from "./plan.ts";

// Started by processes.ts: `server.ts <plan as JSON> <port>`. Tells its port, and is told how slow to be.
const plan: ServerPlan = JSON.parse(process.argv[2] ?? "{}");
const port = Number(process.argv[3] ?? 0);

const crew = workers(plan.workers, systemClock, { worksForNobody: plan.doesEverything ?? false });
const chance = random(process.pid);
const lengthMs = plan.sigma === undefined ? exponential(plan.workMs) : lognormal(plan.workMs, plan.sigma);
let slowdown = 1;
let attempts = 0;

async function handle() {
  attempts++;
  await crew.work(() => lengthMs(chance) * slowdown, currentWork()?.signal);
  return {};
}

const server = await startServer({
  host: "127.0.0.1",
  port,
  services: [SimulatedService],
  routes: (router) =>
    router.service(SimulatedService, { [work.localName]: handle } as ServiceImpl<typeof SimulatedService>),
  log: silentLog,
  ...(plan.doesEverything && { admission: { limiter: { limit: () => 1_000_000, observe() {} } } }),
});

process.on("message", (told: { slowdown: number } | "attempts") => {
  if (told === "attempts") process.send?.(attempts);
  else slowdown = told.slowdown;
});
process.once("disconnect", () => process.exit());
process.once("SIGTERM", async () => {
  await server.stop();
  process.exit();
});
process.send?.(server.port);

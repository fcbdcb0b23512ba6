import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { systemClock } from "../../mesh/core/clock.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { currentWork } from "../../mesh/core/work.ts";
import { type MeshServer, startServer } from "../../mesh/rpc/server/server.ts";
import { random } from "../../mesh/testing/random.ts";
import { SimulatedService, work } from "../../mesh/testing/simulator/contract.ts";
import { exponential, lognormal } from "../../mesh/testing/simulator/distributions.ts";
import { variantOf } from "../../mesh/testing/simulator/variants.ts";
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

const HOST = "127.0.0.1";
const routes = (router: ConnectRouter) =>
  router.service(SimulatedService, { [work.localName]: handle } as ServiceImpl<typeof SimulatedService>);
const policies = variantOf({ method: { timeoutMs: plan.timeoutMs } });
const mesh = () =>
  startServer({ host: HOST, port, services: [SimulatedService], routes, log: silentLog, policies });

/** What the libraries make of it, without the mesh. */
async function bare(): Promise<Pick<MeshServer, "port" | "stop">> {
  const bareServer = createServer(connectNodeAdapter({ routes }));
  await once(bareServer.listen(port, HOST), "listening");
  return { port: (bareServer.address() as AddressInfo).port, stop: async () => void bareServer.close() };
}

const server = await (plan.doesEverything ? bare() : mesh());

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

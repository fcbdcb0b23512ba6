import { join } from "node:path";
import { pathToFileURL } from "node:url";

// Runs the shop of a checkout, whichever commit that is of, by its own code. Prints where its instances and its broker listen, and
// stops when its parent is gone.
const [checkout = "", options = "{}"] = process.argv.slice(2);
const { startSystem } = await import(pathToFileURL(join(checkout, "services/run.ts")).href);
const system = await startSystem({ ports: "free", ...JSON.parse(options) });
const places = system.instances.map(({ service, port }: { service: string; port: number }) => ({
  service,
  port,
}));
process.stdout.write(`${JSON.stringify({ places, natsUrl: system.natsUrl })}\n`);
process.stdin.resume();
process.stdin.once("end", async () => {
  await system.stop();
  process.exit();
});

import { silentLog } from "../core/log.ts";
import { startServer } from "../rpc/server/server.ts";
import { toyService } from "./toy-service.ts";

// A server in a process of its own, for tests that stop or kill one: it serves the first contract of a process, prints
// its port, and answers with its process id.
const service = toyService();
const server = await startServer({
  host: "127.0.0.1",
  port: 0,
  services: [service],
  routes: (router) => router.service(service, { ask: () => ({ text: String(process.pid) }) }),
  log: silentLog,
});
process.stdout.write(`${server.port}\n`);
process.once("disconnect", () => process.exit());

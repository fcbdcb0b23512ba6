import { pick } from "../judged/arguments.ts";
import { SERVERS } from "../judged/servers.ts";
import { buildH2spec, runH2spec } from "./h2spec.ts";

const [name, start] = pick("server", SERVERS);
const h2spec = await buildH2spec(console.log);
const server = await start({
  services: [],
  routes: () => {},
  // h2spec asks for this page all the time, and makes it come in small pieces.
  http: () => new Response("a page of some bytes\n"),
});
try {
  const { passed, skipped, failed } = await runH2spec(h2spec, server.port, (text) =>
    process.stdout.write(text),
  );
  console.log(`the server on ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed + skipped > 0 || passed === 0 ? 1 : 0;
} finally {
  await server.stop();
}

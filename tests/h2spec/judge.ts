import { parseArgs } from "node:util";
import { SERVERS, type ServerName } from "../judged/servers.ts";
import { buildH2spec, runH2spec } from "./h2spec.ts";

const { values } = parseArgs({ options: { server: { type: "string" } } });
const names = Object.keys(SERVERS) as ServerName[];
const name = names.find((each) => each === (values.server || "node"));
if (name === undefined) throw new Error(`there is no server ${values.server}; there are ${names.join(", ")}`);

const h2spec = await buildH2spec(console.log);
const server = await SERVERS[name]({
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

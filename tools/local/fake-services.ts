import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A service that answers every request with its environment and ends when it is told to. */
const OBEDIENT = `
import { createServer } from "node:http";
const server = createServer((_request, response) => void response.end(JSON.stringify(process.env)));
server.listen(Number(process.env.PORT), process.env.HOST);
for (const event of ["SIGTERM", "disconnect"]) process.on(event, () => process.exit(0));
console.log(JSON.stringify({ level: 30, msg: "listens" }));
`;

/** Writes stand-ins for services, which only show how they are run. `scripts` replaces some of them. */
export function writeFakeServices(
  dir: string,
  services: readonly string[],
  scripts: Readonly<Record<string, string>> = {},
): string {
  for (const service of services) {
    mkdirSync(join(dir, service), { recursive: true });
    writeFileSync(join(dir, service, "main.ts"), scripts[service] ?? OBEDIENT);
  }
  return dir;
}

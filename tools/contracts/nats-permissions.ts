import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { serviceName } from "../../mesh/events/handlers.ts";
import { permissionsConfig } from "../../mesh/events/permissions.ts";
import { shopMessages, shopServices } from "./shop-services.ts";

const help = `Writes what each service needs of a NATS broker, read from the contracts, as users of a nats-server configuration.

Usage: node tools/contracts/nats-permissions.ts [--out <file>]

Include the file in the configuration of nats-server, and set <SERVICE>_NATS_PASSWORD for each service in its environment.

  --out <file>  Where to write. Defaults to contracts/nats/permissions.conf.
  --help        Show this text.
`;

/** The permissions of every service of the shop, as nats-server reads them. */
export async function shopPermissions(): Promise<string> {
  const services = await shopServices();
  // The gateway answers pages itself, but has no events: it only looks for the others.
  const processes = services.map(serviceName).map((name) => (name === "storefront" ? "gateway" : name));
  const names = [...new Set(processes)].sort();
  return permissionsConfig(names, { services, messages: await shopMessages(), operating: "audit" });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { out: { type: "string" }, help: { type: "boolean" } } });
  if (values.help) process.stdout.write(help);
  else {
    const file = resolve(values.out ?? join(import.meta.dirname, "../../contracts/nats/permissions.conf"));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, await shopPermissions());
    process.stdout.write("wrote the permissions at the broker\n");
  }
}

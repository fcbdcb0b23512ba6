import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { DescService } from "@bufbuild/protobuf";
import { serviceConfig } from "../../mesh/contract/service-config.ts";
import { shopServices } from "./shop-services.ts";

const help = `Writes what gRPC clients in other languages can keep of the call policies in the contracts.

Usage: node tools/contracts/service-config.ts [--out <folder>]

One file for each service, in the JSON that gRPC calls a service config. Give it to a channel as
"grpc.service_config" (grpc-js), WithDefaultServiceConfig (Go) or defaultServiceConfig (Java).

  --out <folder>  Where to write. Defaults to contracts/service-config. Its .json files are replaced.
  --help          Show this text.
`;

/** Writes the service config of each service into a folder, and removes those of services that are gone. */
export function writeServiceConfigs(folder: string, services: readonly DescService[]): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) if (name.endsWith(".json")) rmSync(join(folder, name));
  for (const service of services) {
    const text = JSON.stringify(serviceConfig(service), null, 2);
    writeFileSync(join(folder, `${service.typeName}.json`), `${text}\n`);
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { out: { type: "string" }, help: { type: "boolean" } } });
  if (values.help) process.stdout.write(help);
  else {
    const folder = resolve(values.out ?? join(import.meta.dirname, "../../contracts/service-config"));
    const services = await shopServices();
    writeServiceConfigs(folder, services);
    process.stdout.write(`wrote ${services.length} service configs\n`);
  }
}

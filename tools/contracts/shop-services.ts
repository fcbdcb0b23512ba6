import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import type { DescService } from "@bufbuild/protobuf";

const GEN = join(import.meta.dirname, "../../gen");

/** Every service of the shop's contracts, from the generated code, by name. */
export async function shopServices(): Promise<DescService[]> {
  const files = readdirSync(join(GEN, "shop"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith("_service_pb.ts"))
    .map((file) => join(GEN, "shop", file));
  const modules = await Promise.all(files.sort().map((file) => import(pathToFileURL(file).href)));
  const services = modules.flatMap((module) => Object.values(module).filter(isService));
  if (services.length === 0) throw new Error(`there is no service in ${relative(process.cwd(), GEN)}`);
  return services;
}

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "service";
}

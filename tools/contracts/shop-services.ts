import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import type { DescFile, DescMessage, DescService } from "@bufbuild/protobuf";

const GEN = join(import.meta.dirname, "../../gen");

/** Every service of the shop's contracts, from the generated code, by name. */
export async function shopServices(): Promise<DescService[]> {
  const services = (await shopFiles()).flatMap((file) => file.services);
  if (services.length === 0) throw new Error(`there is no service in ${relative(process.cwd(), GEN)}`);
  return services;
}

/** Every message of the shop's contracts that stands in no other. */
export async function shopMessages(): Promise<DescMessage[]> {
  return (await shopFiles()).flatMap((file) => file.messages);
}

/** The descriptors of our own contracts, of the mesh and of the shop, from the generated code. */
export async function ownFiles(): Promise<DescFile[]> {
  return [...(await filesBelow("mesh")), ...(await shopFiles())];
}

function shopFiles(): Promise<DescFile[]> {
  return filesBelow("shop");
}

async function filesBelow(folder: string): Promise<DescFile[]> {
  const paths = readdirSync(join(GEN, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith("_pb.ts"))
    .map((path) => join(GEN, folder, path));
  const modules = await Promise.all(paths.sort().map((path) => import(pathToFileURL(path).href)));
  return modules.flatMap((module) => Object.values(module).filter(isFile));
}

function isFile(value: unknown): value is DescFile {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "file";
}

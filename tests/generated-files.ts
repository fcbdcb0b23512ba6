import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { DescFile } from "@bufbuild/protobuf";

const gen = fileURLToPath(new URL("../gen", import.meta.url));

/** The descriptors of our own files below gen/: those of the vendored files are left out. */
export async function ownGeneratedFiles(): Promise<DescFile[]> {
  const paths = readdirSync(gen, { recursive: true, encoding: "utf8" }).filter((path) =>
    /^(mesh|shop)\b.*_pb\.ts$/.test(path),
  );
  const modules: object[] = await Promise.all(
    paths.sort().map((path) => import(pathToFileURL(join(gen, path)).href)),
  );
  return modules.flatMap((module) => Object.values(module).filter(isFile));
}

function isFile(value: unknown): value is DescFile {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "file";
}

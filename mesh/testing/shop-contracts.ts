import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { DescFile } from "@bufbuild/protobuf";

const GEN = resolve(import.meta.dirname, "../../gen");

/** The descriptors of the generated files below `gen/` whose names end so, such as `_event_pb.ts`. */
export async function generatedFiles(folder: string, ending: string): Promise<DescFile[]> {
  const paths = readdirSync(resolve(GEN, folder), { recursive: true, encoding: "utf8" });
  const modules = paths.filter((path) => path.endsWith(ending)).map((path) => resolve(GEN, folder, path));
  return Promise.all(
    modules.map(async (path) => {
      const found = Object.values(await import(path)).find((value) => (value as DescFile).kind === "file");
      return found as DescFile;
    }),
  );
}

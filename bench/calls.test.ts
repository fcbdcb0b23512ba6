import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);

test("the benchmark of calls measures our client and our server, and prints its tables and bars", async () => {
  const script = join(import.meta.dirname, "calls.ts");
  const { stdout } = await run(process.execPath, [
    script,
    "--rounds",
    "1",
    "--seconds",
    "0.1",
    "--only",
    "weft",
    "--only",
    "weft-client",
  ]);
  expect(stdout).toMatch(/^1\/1 {2}weft .*\d\/s/m);
  expect(stdout).toMatch(/^\| \*\*Weft\*\* \| [\d,]+ \|/m);
  expect(stdout).toContain("a protected call beside bare grpc-js, to the same server, 20 B, 1 in flight");
}, 120_000);

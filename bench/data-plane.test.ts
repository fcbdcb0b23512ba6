import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const run = promisify(execFile);
const SCRIPT = join(import.meta.dirname, "data-plane.ts");

test("the benchmark of the data plane measures a peer beside bare grpc-js, and prints its tables and bars", async () => {
  const cases = ["unary-20b-64", "unary-1mib-4", "list", "chat-64", "connect"];
  const { stdout } = await run(process.execPath, [
    SCRIPT,
    ...["--rounds", "1", "--seconds", "0.1", "--only", "tcp-floor"],
    ...cases.flatMap((name) => ["--case", name]),
  ]);
  const lines = stdout.split("\n");
  for (const name of cases)
    expect(lines).toContainEqual(expect.stringMatching(`^1/1 {2}grpc-js +${name} +[\\d,]+ [a-zMB ]+/s$`));
  const floor = lines.filter((line) => line.startsWith("| floor: protobuf with its length over TCP | "));
  // It has no streams both ways.
  expect(floor).toHaveLength(cases.length - 1);
  expect(lines).toContainEqual(expect.stringMatching(/^\| bare grpc-js \| [\d,]+ \| 1\.00 \| 0 % \|/));
  expect(stdout).toContain("| unary 20 B, 64 in flight: calls/s beside grpc-js |  | >= 7 x | not measured |");
}, 120_000);

test("a subject or a case that there is not is named, with those that there are", async () => {
  const failure = await run(process.execPath, [SCRIPT, "--case", "unary-1gib-1"]).catch((error) => error);
  expect(failure.stderr).toContain("there is no unary-1gib-1; there are unary-20b-1, ");
});

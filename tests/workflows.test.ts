import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { NATS_SERVERS } from "./global-setup.ts";

const ROOT = resolve(import.meta.dirname, "..");
const FOLDER = join(ROOT, ".github/workflows");
const read = (file: string) => readFileSync(join(FOLDER, file), "utf8");
const files = readdirSync(FOLDER);
const makefile = readFileSync(join(ROOT, "Makefile"), "utf8");

test("whatever the workflows make, the Makefile has", () => {
  const made = files.flatMap((file) =>
    [...read(file).matchAll(/run: make ([a-z0-9-]+)/g)].map(([, name]) => name),
  );
  expect(made).toEqual(
    expect.arrayContaining([
      ...["check", "test", "compat", "chaos", "bench-events"],
      ...["h2spec", "conformance", "interop", "fuzz", "test-data-planes"],
    ]),
  );
  expect(made.filter((name) => !new RegExp(`^${name}:.*## `, "m").test(makefile))).toEqual([]);
});

test("each change is tested with every nats-server that the tests know: the oldest that will do and a current one", () => {
  const [, tests = ""] = read("check.yml").split(/^ {2}tests:\n/m);
  const [, matrix = ""] = /^ {8}nats: \[(.*)\]$/m.exec(tests) ?? [];
  expect(matrix.split(", ").sort()).toEqual(Object.keys(NATS_SERVERS).sort());
  expect(tests).toMatch(/run: make test\n {8}env:\n {10}TEST_NATS_SERVER: \$\{\{ matrix\.nats \}\}\n/);
});

test("the whole chaos and the bench of the events run by themselves", () => {
  expect(read("nightly.yml")).toMatch(/^on:\n {2}schedule:\n {4}- cron: "/m);
});

test.each(files)("no job of %s runs for ever, nor may more than read the code", (file) => {
  const jobs =
    read(file)
      .split(/^jobs:\n/m)[1]
      ?.split(/^ {2}(?=[a-z]+:\n)/m)
      .filter(Boolean) ?? [];
  expect(jobs.length).toBeGreaterThan(0);
  for (const job of jobs) expect(job).toMatch(/^ {4}timeout-minutes: \d+$/m);
  expect(read(file)).toMatch(/^permissions:\n {2}contents: read\n\n/m);
});

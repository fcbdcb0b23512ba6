import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { load, machine } from "./machine.ts";
import { endAll } from "./storm/processes.ts";
import { type Row, STORMS } from "./storm/storms.ts";

const names = STORMS.map(({ name }) => name);
const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});
const total = (storms: typeof STORMS) => storms.reduce((sum, { seconds }) => sum + seconds, 0);
if (values.help) {
  console.log(`Puts real servers and clients, each in a process of its own, into situations that end badly without the mesh.

  --only NAME   this one; may be repeated: ${names.join(", ")}

All of them take about ${Math.ceil(total(STORMS) / 60)} minutes. The table goes to bench/results/storm.md, unless --only is given.
What is exact stands in the simulator (make scenarios); these figures depend on the machine.`);
  process.exit(0);
}
const unknown = values.only.filter((name) => !names.includes(name));
if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}; there are ${names.join(", ")}`);
const storms = STORMS.filter(({ name }) => values.only.length === 0 || values.only.includes(name));

const about = `${machine()}; load ${load()}`;
console.log(`${about}\nabout ${Math.ceil(total(storms) / 60)} minutes\n`);
const rows: (Row & { readonly storm: string })[] = [];
try {
  for (const { name, run } of storms) {
    const measured = await run((what) => console.log(`${name}: ${what}`));
    for (const row of measured) {
      rows.push({ storm: name, ...row });
      console.log(`${name}: ${row.what}: ${row.measured} (expected ${row.expected})`);
    }
    await endAll();
  }
} finally {
  await endAll();
}

const table = [
  "| storm | what | expected | measured |",
  "| --- | --- | --- | --- |",
  ...rows.map(({ storm, what, expected, measured }) => `| ${storm} | ${what} | ${expected} | ${measured} |`),
].join("\n");
console.log(`\n${table}`);
if (values.only.length === 0) {
  const results = join(import.meta.dirname, "results");
  mkdirSync(results, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const text = `# Storms

\`make storm\` on ${date}: ${about}.

Real processes on one machine; a report, not a test. What is exact and repeatable stands in [scenarios.md](scenarios.md).

${table}
`;
  writeFileSync(join(results, "storm.md"), text);
  console.log("\nkept in bench/results/storm.md");
}

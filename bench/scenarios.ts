import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { claimsOfTests } from "../tests/scenarios/claims.ts";
import { IDS, SCENARIOS } from "../tests/scenarios/every-scenario.ts";
import { markdown, type Row, rowOf, rowOfTests } from "../tests/scenarios/report.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Puts the policies into each situation that calls must survive, in a simulator: simulated servers and clients,
a clock that jumps, chance from a seed. The same code has the same figures on any machine.

  --only ID     this one, such as R1; may be repeated: ${IDS.join(" ")}

All of them take about two minutes. What needs real sockets is no scenario: the table names the test that shows it.
The table goes to bench/results/scenarios.md, unless --only is given. The exit code is 1 if something is missed.`);
  process.exit(0);
}
const unknown = values.only.filter((id) => !IDS.includes(id));
if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}; there are ${IDS.join(" ")}`);

const wants = (id: string) => values.only.length === 0 || values.only.includes(id);
const scenarios = SCENARIOS.filter(({ id }) => wants(id));
const claims = claimsOfTests();
const rows: Row[] = [];
let begun = 0;
for (const id of IDS.filter(wants)) {
  const own = scenarios.filter((scenario) => scenario.id === id);
  if (own.length === 0) rows.push(rowOfTests(id, claims));
  for (const scenario of own) {
    process.stderr.write(`${++begun}/${scenarios.length}  ${id}  ${scenario.what} ... `);
    const row = rowOf(scenario, await scenario.run());
    process.stderr.write(`${row.verdict}\n`);
    rows.push(row);
  }
}

const table = markdown(rows);
console.log(`\n${table}`);
if (values.only.length === 0) {
  const results = join(import.meta.dirname, "results");
  mkdirSync(results, { recursive: true });
  const text = `# Scenarios

\`make scenarios\`: the mesh's policies between simulated clients and servers, on a clock that jumps and with chance from
a seed, so that these figures are the same on any machine. \`make test\` fails if one of them is missed. A control shows
what happens without a policy, and that the scenario can fail. What says "tested" needs real sockets or no simulator, and
is shown by the test that it names. The same against real processes is a report: [storm.md](storm.md).

${table}
`;
  writeFileSync(join(results, "scenarios.md"), text);
  console.log("\nkept in bench/results/scenarios.md");
}
const missed = rows.filter(({ verdict }) => verdict === "MISSED" || verdict === "NOBODY");
if (missed.length > 0) {
  console.log(`\nmissed: ${missed.map(({ id, what }) => `${id} ${what}`).join("; ")}`);
  process.exitCode = 1;
}

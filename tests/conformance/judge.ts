import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { SERVERS } from "../judged/servers.ts";
import { TRANSPORTS } from "../judged/transports.ts";
import { installSuite } from "./suite.ts";

const CHECKOUT = resolve(import.meta.dirname, "../..");
const HERE = "tests/conformance";
// So that a machine of two cores has time for each call.
const MAX_SERVERS = 2;
const MAX_CALLS = 4;

const { values } = parseArgs({
  options: { server: { type: "string" }, transport: { type: "string" }, run: { type: "string" } },
});
const asked = (name: string, table: object, wanted: string | undefined) => {
  if (wanted && !(wanted in table))
    throw new Error(`there is no ${name} ${wanted}; there is ${Object.keys(table).join(", ")}`);
  return wanted ? [wanted] : Object.keys(table);
};

interface Trial {
  readonly mode: "server" | "client";
  /** Of what is tried. */
  readonly name: string;
}

const servers = asked("server", SERVERS, values.server).map((name): Trial => ({ mode: "server", name }));
const clients = asked("transport", TRANSPORTS, values.transport).map(
  (name): Trial => ({ mode: "client", name }),
);
// Who asks for one of a kind has no interest in the other kind.
const trials = [
  ...(values.transport && !values.server ? [] : servers),
  ...(values.server && !values.transport ? [] : clients),
];

const suite = await installSuite(console.log);
let failed = 0;
for (const trial of trials) {
  console.log(`\n${trial.mode} ${trial.name}`);
  if ((await run(trial)) !== 0) failed++;
}
console.log(`\n${trials.length - failed} of ${trials.length} conform`);
process.exitCode = failed === 0 ? 0 : 1;

/** Has the suite try one program, and tells its exit code. What it finds goes to this terminal. */
function run({ mode, name }: Trial): Promise<number> {
  // All servers offer the same, unless one has a file of its own; every client has one.
  const own = `${HERE}/${mode}-${name}.yaml`;
  const config = existsSync(join(CHECKOUT, own)) ? own : `${HERE}/${mode}.yaml`;
  const option = mode === "server" ? "--server" : "--transport";
  const args = [
    ...["--mode", mode, "--conf", config, "-v"],
    ...["--max-servers", String(MAX_SERVERS)],
    ...(mode === "server" ? ["--parallel", String(MAX_CALLS)] : []),
    ...(values.run ? ["--run", values.run] : []),
    ...["--", process.execPath, `${HERE}/${mode}.ts`, option, name],
  ];
  const child = spawn(suite, args, { cwd: CHECKOUT, stdio: ["ignore", "inherit", "inherit"] });
  return new Promise((done, fail) => child.once("error", fail).once("close", (code) => done(code ?? 1)));
}

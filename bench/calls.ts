import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { outputOf } from "../tools/local/executables.ts";
import { findNatsServer, startNats } from "../tools/local/nats-server.ts";
import type { OwnServer } from "../tools/local/own-server.ts";
import { freePort } from "../tools/local/ports.ts";
import type { Costs } from "./calls/in-process.ts";
import { measureBeside, measureCosts, type PairMeasured, startPair } from "./calls/pair.ts";
import { report } from "./calls/report.ts";
import { BASE, CASES, PROTECTED, SUBJECTS, type Subject } from "./calls/subjects.ts";
import { installed, load, machine } from "./machine.ts";

const IN_PROCESS = "in-process";
const names = [...SUBJECTS.map(({ name }) => name), IN_PROCESS];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "2" },
    only: { type: "string", multiple: true, default: [] },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures calls: peers and Weft in turn, client and server in processes of their own.

  --rounds N      rounds, of which the medians count (3)
  --seconds N     length of a case (2); there are ${CASES.length} for each of ${SUBJECTS.length} subjects
  --only NAME     this one, and ${BASE}, which the others are compared with; may be repeated
  --profile DIR   a CPU profile of each process, there

  names: ${names.join(", ")}

The report goes to bench/results/calls.md, unless --only or --profile is given.`);
  process.exit(0);
}

const [rounds, seconds] = [values.rounds, values.seconds].map(Number) as [number, number];
const unknown = values.only.filter((name) => !names.includes(name));
if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}; there are ${names.join(", ")}`);
if (!(rounds >= 1 && seconds > 0)) throw new Error("--rounds and --seconds must be numbers above 0");

const wants = (name: string) => values.only.length === 0 || values.only.includes(name);
const isBaseNeeded = values.only.some((name) => name !== IN_PROCESS);
const subjects = SUBJECTS.filter(({ name }) => wants(name) || (name === BASE && isBaseNeeded));
const profileDir = values.profile && resolve(values.profile);
if (profileDir) mkdirSync(profileDir, { recursive: true });

// Long enough for each case to have been compiled, and for a connection of each place. Cases that are shorter than that
// are to see that it runs.
const warmUpMs = Math.min(1_000, seconds * 1_000);
// Now and then a process is slower than its brothers from its beginning to its end.
const COST_PROCESSES = 5;
const BESIDE_PROCESSES = 2;
const HERE = import.meta.dirname;
const RESULTS = join(HERE, "results", "calls.md");

const calls = new Map<string, Map<string, PairMeasured[]>>();
const costs: Costs[] = [];
const ratios: number[][] = [];
const circumstances = { machine: machine(), load: load(), date: new Date(), rounds, seconds };
console.log(`${circumstances.machine}; load ${circumstances.load}`);
console.log(
  `${subjects.length} subjects, ${rounds} rounds: about ${Math.ceil(estimatedSeconds() / 60)} minutes\n`,
);

const dataDir = mkdtempSync(join(tmpdir(), "weft-bench-"));
let nats: OwnServer | undefined;
let natsVersion = "";
const natsPort = subjects.some(({ needsNats }) => needsNats) ? await beginNats() : undefined;
try {
  for (let round = 1; round <= rounds; round++) {
    for (const subject of subjects) {
      // One that fails is missing from the table; the others are measured all the same.
      const line = await measure(subject).catch((error) => `failed: ${error}`);
      console.log(`${round}/${rounds}  ${subject.name.padEnd(16)} ${line}`);
    }
    if (wants(PROTECTED)) {
      for (let i = 0; i < BESIDE_PROCESSES; i++) ratios.push(await measureProtected());
      console.log(`${round}/${rounds}  ${PROTECTED} beside ${BASE}`);
    }
    if (wants(IN_PROCESS)) {
      for (let i = 0; i < COST_PROCESSES; i++) costs.push(await measureCosts(profileDir));
      console.log(`${round}/${rounds}  ${IN_PROCESS}`);
    }
  }
} finally {
  await nats?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

const page = report({ calls, costs, ratios }, { ...circumstances, versions: versions() });
console.log(`\n${page}`);
if (values.only.length === 0 && !profileDir) {
  mkdirSync(join(HERE, "results"), { recursive: true });
  writeFileSync(RESULTS, page);
  console.log(`written to ${RESULTS}`);
}

/** All cases of a subject, in new processes. Says how many calls a second there were. */
async function measure(subject: Subject): Promise<string> {
  const pair = await startPair(subject, { natsPort, profileDir });
  try {
    for (const { inFlight, bytes } of CASES) await pair.measure({ inFlight, bytes, ms: warmUpMs });
    const line: string[] = [];
    for (const { name, inFlight, bytes } of CASES) {
      const measured = await pair.measure({ inFlight, bytes, ms: seconds * 1_000 });
      const byCase = calls.get(subject.name) ?? new Map<string, PairMeasured[]>();
      calls.set(subject.name, byCase.set(name, [...(byCase.get(name) ?? []), measured]));
      line.push(
        `${name}: ${Math.round(measured.perSecond)}/s${measured.failed ? ` (${measured.failed} failed)` : ""}`,
      );
    }
    return line.join("   ");
  } finally {
    await pair.stop();
  }
}

/** What the client stack leaves of the calls of the library below it. */
function measureProtected(): Promise<number[]> {
  const client = (name: string) => SUBJECTS.find((subject) => subject.name === name) as Subject;
  const [ours, base] = [client(PROTECTED), client(BASE)];
  const loads = CASES.map(({ inFlight, bytes }) => ({ inFlight, bytes, ms: (seconds * 1_000) / 2 }));
  return measureBeside({ ours: ours.client, base: base.client, server: base.server }, loads, warmUpMs);
}

async function beginNats(): Promise<number> {
  const say = (line: string) => console.log(line);
  const binary = await findNatsServer({ toolsDir: join(HERE, "..", ".tools"), log: say });
  natsVersion = /v([\d.]+)/.exec((await outputOf(binary, ["--version"])) ?? "")?.[1] ?? "";
  const port = await freePort();
  nats = await startNats({ binary, dataDir, port, log: say });
  return port;
}

function estimatedSeconds(): number {
  const perSubject = 1.5 + CASES.length * (warmUpMs / 1_000 + seconds);
  const perBeside = 1.5 + (CASES.length * (2 * warmUpMs)) / 1_000 + CASES.length * seconds;
  return (
    rounds *
    (subjects.length * perSubject +
      (wants(PROTECTED) ? BESIDE_PROCESSES * perBeside : 0) +
      (wants(IN_PROCESS) ? 4 * COST_PROCESSES : 0))
  );
}

/** Of what was measured, as installed. */
function versions(): string {
  const peers = [
    "@grpc/grpc-js",
    "nice-grpc",
    "@nestjs/microservices",
    "fastify",
    "undici",
    "cockatiel",
    "moleculer",
  ];
  return [
    ...installed("repository", "@connectrpc/connect-node", "@bufbuild/protobuf"),
    ...installed("bench", ...peers),
    ...(natsVersion ? [`nats-server ${natsVersion}`] : []),
  ].join(", ");
}

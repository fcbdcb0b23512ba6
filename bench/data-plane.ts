import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { outputOf } from "../tools/local/executables.ts";
import { findNatsServer, startNats } from "../tools/local/nats-server.ts";
import type { OwnServer } from "../tools/local/own-server.ts";
import { freePort } from "../tools/local/ports.ts";
import type { PairMeasured } from "./calls/pair.ts";
import { ATTACKS } from "./data-plane/attacks.ts";
import { ATTACK, CASES, IDLE } from "./data-plane/cases.ts";
import { MAX_BYTES } from "./data-plane/contract.ts";
import { type AttackMeasured, type IdleMeasured, startPair } from "./data-plane/pair.ts";
import { report } from "./data-plane/report.ts";
import type { Entry } from "./data-plane/results.ts";
import { BASE, missingFile, SUBJECTS, type Subject } from "./data-plane/subjects.ts";
import { installed, load, machine } from "./machine.ts";

const names = SUBJECTS.map(({ name }) => name);
const caseNames = [...CASES.map(({ name }) => name), IDLE, ATTACK];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "2" },
    only: { type: "string", multiple: true, default: [] },
    case: { type: "string", multiple: true, default: [] },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(`Measures the data plane: unary calls, streams, connections, idle streams, and calls beside an attack, of peers and of
Weft in turn, client and server in processes of their own.

  --rounds N      rounds, of which the medians count (3)
  --seconds N     length of a case (2)
  --only NAME     this one, and ${BASE}, which the others are compared with; may be repeated
  --case NAME     this case; may be repeated
  --profile DIR   a CPU profile of each process, there

  names: ${names.join(", ")}
  cases: ${caseNames.join(", ")}

The report goes to bench/results/data-plane.md, unless --only, --case or --profile is given.`);
  process.exit(0);
}

const [rounds, seconds] = [values.rounds, values.seconds].map(Number) as [number, number];
if (!(rounds >= 1 && seconds > 0)) throw new Error("--rounds and --seconds must be numbers above 0");
assertKnown(values.only, names);
assertKnown(values.case, caseNames);

const wantsCase = (name: string) => values.case.length === 0 || values.case.includes(name);
const cases = CASES.filter(({ name }) => wantsCase(name));
const subjects = SUBJECTS.filter(
  ({ name }) => values.only.length === 0 || values.only.includes(name) || name === BASE,
).filter((subject) => {
  const missing = missingFile(subject);
  if (missing) console.log(`${subject.name} is left out: there is no bench/${missing}`);
  return !missing;
});
const profileDir = values.profile && resolve(values.profile);
if (profileDir) mkdirSync(profileDir, { recursive: true });

// Long enough for each case to have been compiled; in a run that is to see that it runs, as short as the case.
const warmUpMs = Math.min(500, seconds * 1_000);
const WARM_UP_MESSAGES = 10_000;
const HERE = import.meta.dirname;
const RESULTS = join(HERE, "results", "data-plane.md");

const calls: Entry<PairMeasured>[] = [];
const idle: Entry<IdleMeasured>[] = [];
const attacks: Entry<AttackMeasured>[] = [];
const circumstances = { machine: machine(), load: load(), date: new Date(), rounds, seconds };
console.log(`${circumstances.machine}; load ${circumstances.load}`);
console.log(
  `${subjects.length} subjects, ${rounds} rounds: about ${Math.ceil(estimatedSeconds() / 60)} minutes\n`,
);

const dataDir = mkdtempSync(join(tmpdir(), "weft-bench-"));
let nats: OwnServer | undefined;
let natsVersion = "";
try {
  const natsPort = subjects.some(({ needsNats }) => needsNats) ? await beginNats() : undefined;
  for (let round = 1; round <= rounds; round++) {
    for (const subject of subjects) {
      const say = (line: string) => console.log(`${round}/${rounds}  ${subject.name.padEnd(22)} ${line}`);
      // One that fails is missing from the tables; the others are measured all the same.
      const failed = (error: unknown) => say(`failed: ${error}`);
      if (cases.length > 0) await measure(subject, round, natsPort, say).catch(failed);
      if (wantsCase(IDLE)) await hold(subject, round, natsPort, say).catch(failed);
      if (wantsCase(ATTACK) && subject.isAttacked) await beAttacked(subject, round, say).catch(failed);
    }
  }
} finally {
  await nats?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

const page = report({ calls, idle, attacks }, { ...circumstances, versions: versions() });
console.log(`\n${page}`);
if (values.only.length === 0 && values.case.length === 0 && !profileDir) {
  mkdirSync(join(HERE, "results"), { recursive: true });
  writeFileSync(RESULTS, page);
  console.log(`written to ${RESULTS}`);
}

type Say = (line: string) => void;

/** All cases that a subject can do, in new processes. */
async function measure(
  subject: Subject,
  round: number,
  natsPort: number | undefined,
  say: Say,
): Promise<void> {
  await using pair = await startPair(subject, { natsPort, profileDir });
  for (const of of cases) {
    const short = of.kind === "list" ? { ...of, messages: WARM_UP_MESSAGES } : of;
    // What fails so early may work once it is warm.
    await pair.measure({ case: short, ms: warmUpMs }).catch(() => {});
  }
  for (const of of cases) {
    try {
      const measured = await pair.measure({ case: of, ms: seconds * 1_000 });
      if (!measured) continue;
      calls.push({ round, subject: subject.name, case: of.name, measured });
      const count = Math.round(measured.perSecond * (of.perCall ?? 1)).toLocaleString("en");
      const failed = measured.failed > 0 ? ` (${measured.failed} failed: ${measured.error})` : "";
      say(`${of.name.padEnd(14)} ${count} ${of.unit}${failed}`);
    } catch (error) {
      say(`${of.name} failed: ${error}`);
    }
  }
}

/** Idle streams, in processes that have done nothing else. */
async function hold(subject: Subject, round: number, natsPort: number | undefined, say: Say): Promise<void> {
  await using pair = await startPair(subject, { natsPort, profileDir: undefined });
  const measured = await pair.hold();
  if (!measured) return;
  idle.push({ round, subject: subject.name, case: IDLE, measured });
  const { streams, client, server, error } = measured;
  const why = error ? ` (${error})` : "";
  say(
    `${IDLE.padEnd(14)} ${streams} streams${why}, ${Math.round(client.resident)} + ${Math.round(server.resident)} bytes each`,
  );
}

/** Calls beside each attack, in new processes, since what an attack leaves behind is its own. */
async function beAttacked(subject: Subject, round: number, say: Say): Promise<void> {
  for (const name of ["", ...ATTACKS.map((attack) => attack.name)]) {
    await using pair = await startPair(subject, { natsPort: undefined, profileDir });
    await pair.attacked(undefined, warmUpMs);
    try {
      const measured = await pair.attacked(name || undefined, seconds * 1_000);
      attacks.push({ round, subject: subject.name, case: name, measured });
      const { perSecond, p99Ms, failed, cutOff, error } = measured;
      const how = failed > 0 ? ` (${failed} failed: ${error})` : "";
      say(
        `${ATTACK.padEnd(14)} ${name || "nobody"}: ${Math.round(perSecond)} calls/s, p99 ${p99Ms.toFixed(1)} ms, cut off ${cutOff} times${how}`,
      );
    } catch (error) {
      say(`${ATTACK} ${name} failed: ${error}`);
    }
  }
}

async function beginNats(): Promise<number> {
  const say = (line: string) => console.log(line);
  const binary = await findNatsServer({ toolsDir: join(HERE, "..", ".tools"), log: say });
  natsVersion = /v([\d.]+)/.exec((await outputOf(binary, ["--version"])) ?? "")?.[1] ?? "";
  const port = await freePort();
  const configFile = join(dataDir, "nats.conf");
  writeFileSync(configFile, `max_payload: ${MAX_BYTES}\n`);
  nats = await startNats({ binary, dataDir, port, configFile, log: say });
  return port;
}

function estimatedSeconds(): number {
  const perSubject = 1.5 + cases.length * (warmUpMs / 1_000 + seconds) + (wantsCase(IDLE) ? 4 : 0);
  const attacked = wantsCase(ATTACK) ? subjects.filter(({ isAttacked }) => isAttacked).length : 0;
  const perAttack = 2.5 + warmUpMs / 1_000 + seconds;
  return rounds * (subjects.length * perSubject + attacked * (ATTACKS.length + 1) * perAttack);
}

function assertKnown(asked: readonly string[], known: readonly string[]): void {
  const unknown = asked.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}; there are ${known.join(", ")}`);
}

/** Of what was measured, as installed. */
function versions(): string {
  return [
    ...installed("repository", "@connectrpc/connect-node", "@bufbuild/protobuf"),
    ...installed("bench", "@grpc/grpc-js", "fastify", "undici", "cockatiel", "moleculer"),
    ...(natsVersion ? [`nats-server ${natsVersion}`] : []),
  ].join(", ");
}

import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { findOnPath, goInstall, outputOf } from "./executables.ts";
import { type Log, type OwnServer, startOwnServer, stopLeftOver } from "./own-server.ts";

const GO_PATH = "github.com/nats-io/nats-server/v2";
const GO_MODULE = `${GO_PATH}@v2.14.5`;
const OLDEST = [2, 9, 10] as const;
const STOP_SIGNALS = ["SIGTERM"] as const;
const STOP_GRACE_MS = 3000;
// It reads its streams before it listens.
const START_TIMEOUT_MS = 60_000;
const PROBE_TIMEOUT_MS = 2000;

export interface FindNatsServerOptions {
  /** Where a nats-server of our own is kept, and put if there is none. */
  readonly toolsDir: string;
  readonly log: Log;
  /** Gives up an installation that is under way. */
  readonly signal?: AbortSignal;
}

/**
 * The path of a nats-server that is new enough: on PATH, else in the tools folder, where it is installed first if need
 * be: built with Go, else taken from Debian's package, which needs no root. Throws with advice if all of that fails.
 */
export async function findNatsServer({ toolsDir, log, signal }: FindNatsServerOptions): Promise<string> {
  const onPath = await findOnPath("nats-server");
  if (onPath !== undefined && (await isNewEnough(onPath, log))) return onPath;
  const own = join(toolsDir, "nats-server");
  if (await isNewEnough(own, log)) return own;
  const ways = [() => goInstall(GO_MODULE, own, log, signal), () => unpackDebianPackage(toolsDir, own, log)];
  const failures: string[] = [];
  for (const install of ways) {
    signal?.throwIfAborted();
    try {
      await install();
      if (await isNewEnough(own, log)) return own;
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  signal?.throwIfAborted();
  throw new Error(
    `There is no nats-server, and it could not be installed (${failures.join("; ")}). ` +
      `Install ${OLDEST.join(".")} or newer (brew install nats-server, apt-get install nats-server, or a binary from ` +
      "https://github.com/nats-io/nats-server/releases on PATH), or set NATS_URL to use a server of your own.",
  );
}

/**
 * The path of the oldest nats-server that is good enough, for tests: Debian's package if it has that version, else built
 * with Go; kept beside the other one in the tools folder. Throws if there is neither.
 */
export async function findOldestNatsServer({
  toolsDir,
  log,
  signal,
}: FindNatsServerOptions): Promise<string> {
  const version = OLDEST.join(".");
  const own = join(toolsDir, `nats-server-${version}`);
  const isRight = async () => /v([\d.]+)/.exec((await outputOf(own, ["--version"])) ?? "")?.[1] === version;
  if (await isRight()) return own;
  try {
    await unpackDebianPackage(toolsDir, own, log);
  } catch (error) {
    log((error as Error).message);
  }
  if (await isRight()) return own;
  await goInstall(`${GO_PATH}@v${version}`, own, log, signal);
  if (await isRight()) return own;
  throw new Error(`what was built is no nats-server ${version}`);
}

export interface NatsOptions {
  readonly binary: string;
  /** Streams and key-value buckets live here. */
  readonly dataDir: string;
  /** Of 127.0.0.1. */
  readonly port: number;
  /** By which the servers of a cluster know each other. Defaults to `weft`. */
  readonly name?: string;
  /** More of its settings, in a file. */
  readonly configFile?: string;
  readonly log: Log;
  /** Gives up a start that is under way. */
  readonly signal?: AbortSignal;
}

/**
 * Starts nats-server with JetStream on 127.0.0.1 only, and returns once it greets its clients. What an earlier, killed
 * run left running is stopped first.
 */
export async function startNats(options: NatsOptions): Promise<OwnServer> {
  const { binary, dataDir, port, name = "weft", configFile, log, signal } = options;
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  await stopLeftOverNats(dataDir, log);
  return startOwnServer({
    name: "NATS",
    url: `nats://127.0.0.1:${port}`,
    command: binary,
    args: [
      ...["--name", name, "--addr", "127.0.0.1", "--port", String(port)],
      ...["--jetstream", "--store_dir", dataDir, "--pid", pidFileIn(dataDir)],
      ...(configFile === undefined ? [] : ["--config", configFile]),
    ],
    cwd: dataDir,
    env: { PATH: "/usr/bin:/bin" },
    port,
    orElse: "set NATS_URL to use a server of your own",
    logFile: join(dataDir, "server.log"),
    stopSignals: STOP_SIGNALS,
    stopGraceMs: STOP_GRACE_MS,
    startTimeoutMs: START_TIMEOUT_MS,
    accepts: () => greets(port),
    log,
    ...(signal ? { signal } : {}),
  });
}

/** Stops the nats-server of this data folder if an earlier run has left it behind. */
export async function stopLeftOverNats(dataDir: string, log: Log): Promise<void> {
  const pidFile = pidFileIn(dataDir);
  const marks = ["nats-server", `--store_dir ${dataDir} `];
  await stopLeftOver({ name: "NATS", pidFile, marks, stopSignals: STOP_SIGNALS, log });
  rmSync(pidFile, { force: true });
}

function pidFileIn(dataDir: string): string {
  return join(dataDir, "nats-server.pid");
}

async function isNewEnough(binary: string, log: Log): Promise<boolean> {
  const output = await outputOf(binary, ["--version"]);
  const version = /v(\d+)\.(\d+)\.(\d+)/
    .exec(output ?? "")
    ?.slice(1)
    .map(Number);
  if (version === undefined) return false;
  const different = OLDEST.findIndex((part, index) => part !== version[index]);
  const isEnough = different === -1 || (version[different] ?? 0) > (OLDEST[different] ?? 0);
  if (!isEnough)
    log(`${binary} is ${version.join(".")}, older than ${OLDEST.join(".")}; looking for another`);
  return isEnough;
}

async function unpackDebianPackage(toolsDir: string, target: string, log: Log): Promise<void> {
  if ((await findOnPath("apt-get")) === undefined) throw new Error("apt-get is not on PATH");
  mkdirSync(toolsDir, { recursive: true });
  const workDir = mkdtempSync(join(toolsDir, "nats-server-deb-"));
  try {
    log("downloading Debian's package nats-server with apt-get, and unpacking it without installing it");
    const downloaded = await outputOf("apt-get", ["download", "nats-server"], workDir);
    const file = readdirSync(workDir).find((name) => name.endsWith(".deb"));
    if (downloaded === undefined || file === undefined)
      throw new Error("apt-get download nats-server failed; does it work after apt-get update, as root?");
    if ((await outputOf("dpkg", ["-x", file, "."], workDir)) === undefined)
      throw new Error(`dpkg -x ${file} failed`);
    const binary = readdirSync(workDir, { recursive: true, encoding: "utf8" }).find((path) =>
      /bin\/nats-server$/.test(path),
    );
    if (binary === undefined) throw new Error(`${file} holds no nats-server`);
    renameSync(join(workDir, binary), target);
  } finally {
    rmSync(workDir, { recursive: true });
  }
}

/** Reads the server's first line: it says hello only once JetStream has its streams. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", timeout: PROBE_TIMEOUT_MS });
    let received = "";
    const finish = (isServing: boolean) => {
      socket.destroy();
      resolve(isServing);
    };
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      received += chunk;
      const line = /^INFO (\{.*\})\s*\r\n/.exec(received)?.[1];
      if (line !== undefined) finish((JSON.parse(line) as { jetstream?: boolean }).jetstream === true);
    });
    for (const event of ["error", "timeout", "end"]) socket.once(event, () => finish(false));
  });
}

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { commandOf } from "./processes.ts";

const HOST = "127.0.0.1";
// Below the range that systems hand out to outgoing connections, so that none of these takes a port we chose.
const FIRST_FREE_PORT = 20_000;
const LAST_FREE_PORT = 32_000;
const BLOCK_PORTS = 60;
const LISTENING = "0A";

/**
 * Ports that this process alone chooses from: another that looks for free ones between our choice and the moment at which
 * a server listens could choose the same. Who listens on a block's first port has the block, until its process ends.
 */
interface Block {
  readonly firstPort: number;
  used: number;
}

let block: Promise<Block> | undefined;

/** A port that something is about to listen on. */
export interface PortUse {
  readonly port: number;
  /** What needs it, as the reader knows it: "product-1". */
  readonly for: string;
  /** What to do instead of freeing it: "set NATS_URL to use a server of your own". */
  readonly orElse?: string;
}

/** A port of 127.0.0.1 that is free now, and that no other process is given by this function while this one lives. */
export async function freePort(): Promise<number> {
  for (;;) {
    block ??= takeBlock();
    const own = await block;
    own.used += 1;
    const port = own.firstPort + own.used;
    if (own.used >= BLOCK_PORTS) block = undefined;
    else if (await isFree(port)) return port;
  }
}

/** `count` different ports, each as `freePort` gives them. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

/** Throws one error that names every taken port, its holder and what to do; returns if all are free. */
export async function assertPortsFree(uses: readonly PortUse[]): Promise<void> {
  const taken: string[] = [];
  for (const use of uses) {
    if (await isFree(use.port)) continue;
    taken.push(
      `port ${use.port} (${use.for}) is taken by ${describeHolder(use.port)}${use.orElse ? `; free it, or ${use.orElse}` : ""}`,
    );
  }
  if (taken.length === 0) return;
  const what = taken.length === 1 ? "it" : "them";
  throw new Error(`${taken.join("\n")}\nStop what holds ${what}, then start again.`);
}

/** Who has the port, for people: process id and command, as far as the system lets us see. */
export function describeHolder(port: number): string {
  const pid = process.platform === "linux" ? linuxHolder(port) : lsofHolder(port);
  if (pid === undefined) return "an unknown process (perhaps of another user or container)";
  return `process ${pid} (${shorten(commandOf(pid) ?? "command unknown")})`;
}

function hold(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(new Error(`cannot listen on ${HOST}:${port}: ${error.message}`, { cause: error }));
    });
    server.listen({ port, host: HOST, exclusive: true }, () => resolve(server));
  });
}

async function isFree(port: number): Promise<boolean> {
  const server = await hold(port);
  if (!server) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

async function takeBlock(): Promise<Block> {
  const blocks = Math.floor((LAST_FREE_PORT - FIRST_FREE_PORT) / BLOCK_PORTS);
  for (;;) {
    const firstPort = FIRST_FREE_PORT + Math.floor(Math.random() * blocks) * BLOCK_PORTS;
    const server = await hold(firstPort);
    if (!server) continue;
    server.unref();
    return { firstPort, used: 0 };
  }
}

function linuxHolder(port: number): number | undefined {
  const inodes = socketInodes(port);
  if (inodes.size === 0) return undefined;
  const pids = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
  // A server's children share its socket; the parent has the lowest id, as a rule.
  return pids.sort((a, b) => a - b).find((pid) => holdsSocket(pid, inodes));
}

function socketInodes(port: number): Set<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const rows = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap(readRows);
  const onPort = rows.filter((row) => row[1]?.endsWith(suffix) && row[9] !== "0");
  const listening = onPort.filter((row) => row[3] === LISTENING);
  // Without a listener an outgoing connection may have been given the port.
  return new Set((listening.length > 0 ? listening : onPort).map((row) => `socket:[${row[9]}]`));
}

function readRows(file: string): string[][] {
  try {
    return readFileSync(file, "utf8")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/));
  } catch {
    return [];
  }
}

function holdsSocket(pid: number, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => sockets.has(linkOf(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function lsofHolder(port: number): number | undefined {
  try {
    const found = execFileSync("lsof", ["-nP", "-t", `-iTCP:${port}`, "-sTCP:LISTEN"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return Number.parseInt(found, 10) || undefined;
  } catch {
    return undefined;
  }
}

function shorten(command: string): string {
  return command.length > 100 ? `${command.slice(0, 99)}…` : command;
}

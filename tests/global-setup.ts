import { chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import type { TestProject } from "vitest/node";
import { DATA_PLANES } from "../mesh/rpc/data-planes.ts";
import { TEST_BROKER_PREFIX } from "../mesh/testing/broker.ts";
import { findNatsServer, findOldestNatsServer, stopLeftOverNats } from "../tools/local/nats-server.ts";
import { freePort } from "../tools/local/ports.ts";
import { startPostgres } from "../tools/local/postgres.ts";

/** What `TEST_NATS_SERVER` may be: which nats-server the tests run with. */
export const NATS_SERVERS = { current: findNatsServer, oldest: findOldestNatsServer } as const;

const TOOLS_DIR = resolve(import.meta.dirname, "../.tools");
// Some tests start the whole shop: all of them together compile it once.
const COMPILE_CACHE = resolve(import.meta.dirname, "../node_modules/.cache/weft/compiled");

/**
 * Starts one PostgreSQL for the whole run, on a free port and with data of its own, and finds the nats-server that the
 * test files start. Returns what ends it.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dataPlane = process.env.TEST_DATA_PLANE || (DATA_PLANES[0] as string);
  if (!DATA_PLANES.includes(dataPlane))
    throw new Error(`TEST_DATA_PLANE must be ${DATA_PLANES.join(" or ")}, not ${dataPlane}`);
  process.env.NODE_COMPILE_CACHE ??= COMPILE_CACHE;
  const dir = mkdtempSync(join(realpathSync(tmpdir()), "weft-test-"));
  // PostgreSQL may have to run as another user than we.
  chmodSync(dir, 0o755);
  const said: string[] = [];
  const log = (line: string) => said.push(line);
  try {
    const natsServer = await findNatsServerOf(process.env.TEST_NATS_SERVER || "current");
    // So that what looks for one itself finds the same: the shop that some tests start.
    const bin = mkdtempSync(join(dir, "bin-"));
    symlinkSync(natsServer, join(bin, "nats-server"));
    process.env.PATH = `${bin}${delimiter}${process.env.PATH}`;
    const postgres = await startPostgres({ homeDir: join(dir, "postgres"), port: await freePort(), log });
    project.provide("postgresUrl", postgres.url);
    project.provide("natsServer", natsServer);
    project.provide("testDir", dir);
    project.provide("dataPlane", dataPlane);
    return async () => {
      if (postgres.restarts > 0) console.error(said.join("\n"));
      await postgres.stop();
      await stopBrokers(dir);
      rmSync(dir, { recursive: true, force: true });
    };
  } catch (error) {
    console.error(said.join("\n"));
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

function findNatsServerOf(age: string): Promise<string> {
  if (!isAge(age))
    throw new Error(`TEST_NATS_SERVER must be ${Object.keys(NATS_SERVERS).join(" or ")}, not ${age}`);
  return NATS_SERVERS[age]({ toolsDir: TOOLS_DIR, log: console.log });
}

function isAge(age: string): age is keyof typeof NATS_SERVERS {
  return Object.hasOwn(NATS_SERVERS, age);
}

/** Stops the brokers of test files that did not come to their end. */
async function stopBrokers(dir: string): Promise<void> {
  const left = readdirSync(dir).filter((entry) => entry.startsWith(TEST_BROKER_PREFIX));
  await Promise.all(left.map((entry) => stopLeftOverNats(join(dir, entry), console.log)));
}

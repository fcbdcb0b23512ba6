import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";
import { startNats } from "../../tools/local/nats-server.ts";
import type { OwnServer } from "../../tools/local/own-server.ts";
import { freePort } from "../../tools/local/ports.ts";
import { atEnd } from "./at-end.ts";

/** Begins the name of each broker's folder, by which the end of the run finds those that were left behind. */
export const TEST_BROKER_PREFIX = "nats-";

/** A broker that a test may harm. */
export interface TestBroker extends OwnServer {
  /** Where it keeps its streams, for tests that damage them while it is stopped. */
  readonly storeDir: string;
}

let running: Promise<TestBroker> | undefined;

/**
 * The broker of the present test file: the services that it starts find each other there. Each file has one of its own,
 * because a subscription has one name, so that two files would take each other's events. It ends with the file or, if
 * a test asked for it first, with that test.
 */
export function testBroker(): Promise<TestBroker> {
  running ??= start();
  return running;
}

async function start(): Promise<TestBroker> {
  const dataDir = mkdtempSync(join(inject("testDir"), TEST_BROKER_PREFIX));
  const server = await startNats({
    binary: inject("natsServer"),
    dataDir,
    port: await freePort(),
    log: () => {},
  });
  atEnd(async () => {
    running = undefined;
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  // As it is: what it tells of its process changes.
  return Object.assign(server, { storeDir: join(dataDir, "jetstream") });
}

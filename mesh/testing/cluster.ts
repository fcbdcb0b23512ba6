import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { inject } from "vitest";
import { startNats } from "../../tools/local/nats-server.ts";
import { freePort } from "../../tools/local/ports.ts";
import { atEnd } from "./at-end.ts";
import { TEST_BROKER_PREFIX } from "./broker.ts";
import { until } from "./until.ts";

const NODES = ["a", "b", "c"] as const;

/**
 * Starts a cluster of three brokers, each of which can keep every stream, and resolves with its URL once it has a leader.
 * It ends with the test or, called at the top of a test file, with the file.
 */
export async function testCluster(): Promise<string> {
  const routes = await Promise.all(NODES.map(async () => `127.0.0.1:${await freePort()}`));
  const all = routes.map((route) => `"nats-route://${route}"`).join(", ");
  const servers = await Promise.all(
    NODES.map(async (name, at) => {
      const dataDir = mkdtempSync(join(inject("testDir"), TEST_BROKER_PREFIX));
      const configFile = join(dataDir, "cluster.conf");
      writeFileSync(configFile, `cluster { name: test, listen: "${routes[at]}", routes: [${all}] }\n`);
      const port = await freePort();
      const log = () => {};
      const server = await startNats({ binary: inject("natsServer"), dataDir, port, name, configFile, log });
      atEnd(async () => {
        await server.stop();
        rmSync(dataDir, { recursive: true, force: true });
      });
      return server;
    }),
  );
  const connection = await connect({ servers: servers.map(({ url }) => url) });
  const manager = await jetstreamManager(connection, { checkAPI: false });
  await until(() =>
    manager.getAccountInfo().then(
      () => true,
      () => false,
    ),
  );
  await connection.close();
  return servers.map(({ url }) => url).join();
}

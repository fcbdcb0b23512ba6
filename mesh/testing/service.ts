import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { inject } from "vitest";
import type { App } from "../app/serve.ts";
import type { Env } from "../core/config.ts";
import { meshClient } from "../rpc/client/client.ts";
import { dataPlaneOf } from "../rpc/data-planes.ts";
import { connect, type Sql } from "../store/connect.ts";
import { atEnd } from "./at-end.ts";
import { testBroker } from "./broker.ts";
import { testDatabase } from "./database.ts";

const HOST = "127.0.0.1";
const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

/** Which service to start, and how. */
export interface TestServiceOptions<S extends DescService, Settings> {
  /** The service of the contract that its client speaks. */
  readonly contract: S;
  /** The service's own reader of its settings. */
  readonly readSettings: (env: Env) => Settings;
  /** The service's own start. */
  readonly start: (settings: Settings) => Promise<App>;
  /** Settings over those that a test service gets: the targets that it calls, `SEED`, and so on. */
  readonly env?: Env;
  /** The database of a service that was started before, to start another instance of that. Defaults to an empty one. */
  readonly databaseUrl?: string;
}

/** A service that runs in this process, on real parts. */
export interface TestService<S extends DescService> {
  /** Calls it over gRPC, each call once. */
  readonly client: Client<S>;
  /** Where it listens, as the settings of its callers name it: `static:///127.0.0.1:<port>`. */
  readonly target: string;
  /** Where its pages are: `http://127.0.0.1:<port>`. */
  readonly httpUrl: string;
  /** A way of the test's own into its database. */
  readonly sql: Sql;
  readonly databaseUrl: string;
  /** Ends it early, in order. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a service in this process, on a free port, with a database of its own and the broker of the test file. It ends
 * with the test, or, called at the top of a test file, with the file.
 */
export async function testService<S extends DescService, Settings>(
  options: TestServiceOptions<S, Settings>,
): Promise<TestService<S>> {
  const databaseUrl = options.databaseUrl ?? (await testDatabase()).url;
  const { url: natsUrl } = await testBroker();
  const settings = options.readSettings({
    HOST,
    PORT: "0",
    INSTANCE: "test",
    DATABASE_URL: databaseUrl,
    NATS_URL: natsUrl,
    LOG_LEVEL: "error",
    MESH_AUTH: "off",
    MESH_DATA_PLANE: inject("dataPlane"),
    ...options.env,
  });
  const app = await options.start(settings);
  // Without policies, so that a test sees what each call was answered.
  const way = dataPlaneOf().grpc(
    { host: HOST, port: app.port },
    { interceptors: [], maxMessageBytes: MAX_MESSAGE_BYTES },
  );
  const sql = connect({ url: databaseUrl, name: "test", maxConnections: 4 });

  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= (async () => {
      way.close();
      await app.stop();
      await sql.end({ timeout: 1 });
    })();
    return stopped;
  };
  atEnd(stop);
  return {
    client: meshClient(options.contract, way),
    target: `static:///${HOST}:${app.port}`,
    httpUrl: `http://${HOST}:${app.port}`,
    sql,
    databaseUrl,
    stop,
  };
}

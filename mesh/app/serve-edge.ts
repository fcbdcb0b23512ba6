import type { Running } from "../core/process.ts";
import type { OpenTarget } from "../rpc/client/client.ts";
import { operatorsBy } from "../rpc/server/operators.ts";
import type { MeshServer } from "../rpc/server/server.ts";
import { openServer, type ServedOptions } from "./open-server.ts";
import type { ProcessParts } from "./parts.ts";
import { followPolicyFile } from "./policy-file.ts";
import { registerInstance } from "./register-instance.ts";
import type { App } from "./serve.ts";

/** What a process does that keeps nothing and has others do the work. */
export interface EdgeDuties extends Omit<ServedOptions, "operators"> {
  /** The ways to other services, let go of at the end. */
  readonly targets: readonly OpenTarget[];
}

/** Starts a process that keeps nothing, and ends it in the order in which nothing is cut off. Rejects if it cannot start. */
export async function serveEdge(parts: ProcessParts, duties: EdgeDuties): Promise<App> {
  const { nats, log, config, telemetry, policies } = parts;
  const { targets } = duties;
  let policyFile: Running | undefined;
  let server: MeshServer | undefined;
  let registration: Running | undefined;

  async function leave(): Promise<void> {
    await registration?.stop();
    await server?.leave(config.drainDelayMs);
  }

  async function stop(): Promise<void> {
    // Before all else, so that nobody who looks us up finds an instance that stops.
    await registration?.stop();
    await server?.stop(config.finishWithinMs);
    await policyFile?.stop();
    for (const target of targets) target.close();
    await nats.close();
    await telemetry.close();
  }

  try {
    const services = [...new Set([...duties.services, ...targets.flatMap(({ service }) => service ?? [])])];
    const onChange = () => {
      for (const target of targets) target.reload();
    };
    policyFile = followPolicyFile({ file: config.policyFile, policies, services, log, onChange });
    const operators = operatorsBy(config.operatorToken, parts.auth.isEnforced);
    server = await openServer(parts, { ...duties, operators });
    const { port } = server;
    registration = registerInstance(parts, port);
    log.info({ port }, "ready");
    return { port, finishWithinMs: config.finishWithinMs, leave, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

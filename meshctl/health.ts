import { createClient } from "@connectrpc/connect";
import type { Command } from "commander";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../gen/grpc/health/v1/health_pb.ts";
import { silentLog } from "../mesh/core/log.ts";
import { discover } from "../mesh/discovery/discover.ts";
import { addressOf, type Endpoint } from "../mesh/discovery/target.ts";
import { dataPlaneOf } from "../mesh/rpc/data-planes.ts";
import { BadNews, connectionProblem } from "./failure.ts";
import type { Session } from "./session.ts";
import { SERVICES, targetOf, targetSetting } from "./targets.ts";
import { examples } from "./words.ts";

const ANSWER_WITHIN_MS = 3_000;
const MAX_MESSAGE_BYTES = 2 ** 16;

/** What an instance says of its health. */
interface InstanceHealth {
  readonly service: string;
  readonly address: string;
  /** SERVING, NOT_SERVING, or UNREACHABLE. */
  readonly status: string;
  /** Why it cannot be reached. */
  readonly problem: string;
}

/** Adds `health`: who serves. */
export function addHealth(program: Command, session: Session): void {
  program
    .command("health")
    .argument("[service...]", "these alone")
    .description(
      "health: what each instance of each service says (grpc.health.v1); ends with 1 if one is not well",
    )
    .addHelpText("after", examples("health", "health order payment --json"))
    .action(async (services: readonly string[]) => {
      const asked = services.length > 0 ? services : SERVICES;
      const found = await Promise.all(asked.map((service) => healthOf(session, service)));
      const all = found.flat();
      if (session.isJson) session.json(all.map((each) => ({ ...each })));
      else {
        const rows = all.map(({ service, address, status, problem }) => [service, address, status, problem]);
        session.table(["service", "address", "health", ""], rows, "no instances");
      }
      const bad = all.filter(({ status }) => status !== "SERVING");
      if (bad.length === 0) return;
      const settings = [...new Set(bad.map(({ service }) => targetSetting(service)))];
      throw new BadNews(
        `${bad.length} of ${all.length} instances do not serve. Where they are is said by ${settings.join(", ")}; make run starts them.`,
      );
    });
}

async function healthOf({ env }: Session, service: string): Promise<InstanceHealth[]> {
  const endpoints = await endpointsOf(service, env);
  if (endpoints.length === 0)
    return [{ service, address: "-", status: "UNREACHABLE", problem: "no address" }];
  return Promise.all(endpoints.map((endpoint) => check(service, endpoint)));
}

/** Where its instances are now. */
async function endpointsOf(service: string, env: Session["env"]): Promise<readonly Endpoint[]> {
  const target = targetOf(service, env);
  const { promise, resolve } = Promise.withResolvers<readonly Endpoint[]>();
  const giveUp = setTimeout(resolve, ANSWER_WITHIN_MS, []);
  const following = discover(target, { log: silentLog }, resolve);
  try {
    return await promise;
  } finally {
    clearTimeout(giveUp);
    await following.stop();
  }
}

async function check(service: string, endpoint: Endpoint): Promise<InstanceHealth> {
  const address = addressOf(endpoint);
  const way = dataPlaneOf().grpc(endpoint, { interceptors: [], maxMessageBytes: MAX_MESSAGE_BYTES });
  try {
    const { status } = await createClient(Health, way).check({}, { timeoutMs: ANSWER_WITHIN_MS });
    return { service, address, status: status === Status.SERVING ? "SERVING" : "NOT_SERVING", problem: "" };
  } catch (error) {
    return { service, address, status: "UNREACHABLE", problem: connectionProblem(error) };
  } finally {
    way.close();
  }
}

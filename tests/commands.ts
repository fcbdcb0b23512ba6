import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { findGrpcurl, installGrpcurl } from "../tools/local/grpcurl.ts";
import type { InstanceView } from "../tools/local/system.ts";

const ROOT = resolve(import.meta.dirname, "..");
const TOOLS = join(ROOT, ".tools");

/** A shop that commands of the documents are run against. */
export interface CommandedShop {
  readonly system: { readonly instances: readonly InstanceView[]; readonly natsUrl: string };
  readonly dataDir: string;
}

// The ports that the documents name are those of `make run`.
const PORTS: Readonly<Record<string, string>> = {
  50051: "product-1",
  50151: "product-2",
  50052: "review-1",
  50053: "order-1",
  50054: "payment-1",
  50055: "customer-1",
  50056: "notification-1",
  50057: "audit-1",
  8080: "gateway-1",
};

/** Where grpcurl is; undefined where it cannot be had, because Go is missing. Then what needs it is shown as skipped. */
export const grpcurl =
  (await findGrpcurl(TOOLS)) ?? (await installGrpcurl(TOOLS, () => {}).catch(() => undefined));

/** True if what the command needs is there. */
export function canRun(command: string): boolean {
  return grpcurl !== undefined || !command.includes("grpcurl");
}

/** Runs a command of a document in bash, as it stands there but for the ports and the data folder. Never rejects. */
export async function run(
  { system, dataDir }: CommandedShop,
  command: string,
): Promise<{ readonly output: string; readonly exitCode: number }> {
  const here = Object.entries(PORTS).reduce(
    (text, [port, instance]) => text.replaceAll(`localhost:${port}`, addressOf(instance)),
    command.replaceAll(".data/", `${dataDir}/`),
  );
  const path = [join(ROOT, "meshctl"), join(ROOT, "node_modules/.bin"), TOOLS, process.env.PATH].join(":");
  try {
    const { stdout, stderr } = await promisify(execFile)("bash", ["-ec", here], {
      cwd: ROOT,
      env: { ...process.env, ...targets(), NATS_URL: system.natsUrl, PATH: path },
    });
    return { output: stdout + stderr, exitCode: 0 };
  } catch (error) {
    const { stdout = "", stderr = "", code } = error as { stdout?: string; stderr?: string; code?: number };
    return { output: stdout + stderr, exitCode: code ?? -1 };
  }

  /** Where the services are, for meshctl. */
  function targets(): Record<string, string> {
    const services = Map.groupBy(system.instances, ({ service }) => service);
    return Object.fromEntries(
      [...services].map(([service, instances]) => [
        `${service.toUpperCase()}_TARGET`,
        `static:///${instances.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
      ]),
    );
  }

  function addressOf(name: string): string {
    const port = system.instances.find(({ instance }) => instance === name)?.port;
    return `127.0.0.1:${port}`;
  }
}

import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { isHealthy } from "./health.ts";
import { deservesAttention } from "./log-level.ts";
import { resetSystem } from "./reset.ts";
import { readScale, type Scale } from "./scale.ts";
import { killEverything } from "./supervise.ts";
import type { System, SystemOptions } from "./system.ts";
import { formatTable } from "./table.ts";
import { watchFolders } from "./watch.ts";

// A terminal and a program above us, such as npm, may both pass on one Ctrl-C.
const SAME_SIGNAL_MS = 300;

const USAGE = `Runs the whole shop: PostgreSQL, NATS and every service. Ctrl-C stops it.

  node services/run.ts                   start
  node services/run.ts --watch order     start, and restart that service whenever its code changes
  node services/run.ts --scale order=2   start, with two processes of that service
  node services/run.ts --reset           forget all data

DATABASE_URL, NATS_URL and SMTP_URL name servers to use in place of our own. LOG_LEVEL=debug shows every log line.`;

export interface TerminalOptions<Name extends string> {
  readonly startSystem: (options: SystemOptions) => Promise<System<Name>>;
  readonly services: readonly Name[];
  readonly checkoutDir: string;
  readonly dataDir: string;
  /** What a newcomer may type once the system is ready. */
  readonly firstCommands: readonly string[];
}

/** Runs the system for a person at a terminal, until Ctrl-C. Returns the process's exit code. */
export async function runInTerminal<Name extends string>(options: TerminalOptions<Name>): Promise<number> {
  try {
    const { help, reset, watch, scale } = readArguments(options.services);
    if (help) say(USAGE);
    else if (reset) await forget(options.dataDir);
    else await run(options, { watch, scale });
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

function readArguments<Name extends string>(services: readonly Name[]) {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", short: "h" },
      reset: { type: "boolean" },
      watch: { type: "string" },
      scale: { type: "string" },
    },
  });
  const watch = services.find((service) => service === values.watch);
  if (values.watch !== undefined && watch === undefined) {
    throw new Error(`there is no service named ${values.watch || '""'}; watch one of ${services.join(", ")}`);
  }
  return { ...values, watch, scale: readScale(values.scale ?? "", services) };
}

async function forget(dataDir: string): Promise<void> {
  for (const name of ["DATABASE_URL", "NATS_URL"]) {
    if (process.env[name]) say(`${name} is set: what the shop has kept on that server stays there`);
  }
  await resetSystem(dataDir, say);
  say(`all data in ${dataDir} is forgotten`);
}

async function run<Name extends string>(
  options: TerminalOptions<Name>,
  { watch: watched, scale }: { watch: Name | undefined; scale: Scale },
): Promise<void> {
  const { signal } = stopOnRequest();
  // A terminal that was closed must not keep us from stopping in order.
  process.stdout.on("error", () => {});
  const showsAll = /^(debug|trace)$/i.test(process.env.LOG_LEVEL ?? "");
  const stopRequested = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  let system: System<Name>;
  try {
    system = await options.startSystem({
      say,
      signal,
      scale,
      onLine: (instance, line) => void ((showsAll || deservesAttention(line)) && say(`${instance}  ${line}`)),
    });
  } catch (error) {
    if (!signal.aborted) throw error;
    say("stopped before it was ready");
    return;
  }
  const watcher = watched === undefined ? undefined : restartOnChange(system, watched, options.checkoutDir);
  say(`\n${await describe(system)}\n`);
  if (system.mail) say(`mails are not delivered, but shown: ${system.mail.pageUrl}`);
  say(`ready in ${(performance.now() / 1000).toFixed(1)} s; try: ${options.firstCommands.join("   or: ")}`);
  await stopRequested;
  watcher?.close();
  await system.stop();
  say("all stopped");
}

function restartOnChange<Name extends string>(system: System<Name>, service: Name, checkoutDir: string) {
  const dirs = [join("services", service), "mesh", "gen"].map((dir) => join(checkoutDir, dir));
  let restarting = Promise.resolve();
  say(`watching ${dirs.map((dir) => relative(checkoutDir, dir)).join(", ")} for ${service}`);
  return watchFolders(dirs, (file) => {
    restarting = restarting.then(async () => {
      say(`${relative(checkoutDir, file)} changed: restarting ${service}`);
      await system.restart(service).then(
        () => say(`${service} is back`),
        (error: Error) => say(error.message),
      );
    });
  });
}

async function describe(system: System): Promise<string> {
  const { postgres, nats } = system.servers;
  const rows = [["service", "instance", "port", "pid", "health"]];
  for (const { service, instance, port, pid } of system.instances) {
    rows.push([
      service,
      instance,
      String(port),
      String(pid ?? "-"),
      (await isHealthy(port)) ? "ok" : "not well",
    ]);
  }
  // These two have been asked before the services were started.
  for (const [name, server] of Object.entries({ postgres, nats })) {
    if (server)
      rows.push([
        name,
        name,
        new URL(server.url).port,
        String(server.pid ?? "-"),
        server.pid ? "ok" : "down",
      ]);
  }
  return formatTable(rows);
}

/** Aborts on the first request to stop; on the second everything is killed and the process ends. */
function stopOnRequest(): AbortController {
  const request = new AbortController();
  let requestedAtMs = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (!request.signal.aborted) {
        say("\nstopping; once more to kill at once");
        requestedAtMs = performance.now();
        request.abort();
      } else if (performance.now() - requestedAtMs > SAME_SIGNAL_MS) {
        killEverything();
        process.exit(0);
      }
    });
  }
  return request;
}

function say(line: string): void {
  console.log(line);
}

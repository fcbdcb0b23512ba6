import { join, relative, resolve } from "node:path";
import { provision } from "../mesh/store/provision.ts";
import { untilDiscovered } from "../tools/local/discovered.ts";
import { findGrpcurl } from "../tools/local/grpcurl.ts";
import { passedOn, startInstance } from "../tools/local/instance.ts";
import { startMailSink } from "../tools/local/mail-sink.ts";
import { assertPortsFree, freePorts, type PortUse } from "../tools/local/ports.ts";
import { takeRunLock } from "../tools/local/run-lock.ts";
import { scaled } from "../tools/local/scale.ts";
import { keptSecrets } from "../tools/local/secrets.ts";
import { claimServerPorts, startServers, stopServers } from "../tools/local/shop-servers.ts";
import { type System, type SystemOptions, systemOf } from "../tools/local/system.ts";
import { runInTerminal } from "../tools/local/terminal.ts";

/** The whole shop: every service, a port for each of its processes, and the services that it calls. */
const SHOP: readonly Service[] = [
  { service: "product", ports: [50051, 50151], calls: [] },
  { service: "review", ports: [50052], calls: ["product"] },
  { service: "order", ports: [50053], calls: ["customer", "product", "payment"] },
  { service: "payment", ports: [50054], calls: [] },
  { service: "customer", ports: [50055], calls: [] },
  { service: "notification", ports: [50056], calls: [] },
  { service: "audit", ports: [50057], calls: [] },
];
const SERVER_PORTS = { postgres: 15432, nats: 14222, smtp: 11025, mails: 18025 };

/** The name of a service of the shop. */
export type ServiceName = "product" | "review" | "order" | "payment" | "customer" | "notification" | "audit";

interface Service {
  readonly service: ServiceName;
  /** One process listens on each. */
  readonly ports: readonly number[];
  readonly calls: readonly ServiceName[];
}

const CHECKOUT = resolve(import.meta.dirname, "..");
const DATA_DIR = join(CHECKOUT, ".data");
const TOOLS_DIR = join(CHECKOUT, ".tools");
const READY_TIMEOUT_MS = 60_000;
// What every service gets here and nowhere else: this is for looking at it, and for breaking it.
const LOCAL_SETTINGS: Readonly<Record<string, string>> = {
  SEED: "demo",
  MESH_AUTH: "off",
  MESH_FAULTS: "on",
  MESH_METRICS_BY_ENDPOINT: "true",
};
const PASSED_ON = [
  "MESH_FAULTS",
  "MESH_OPERATOR_TOKEN",
  "MESH_POLICY_FILE",
  "MESH_MAX_CONNECTION_AGE_MS",
  "NATS_CREDS",
  "NATS_CA",
];
const SERVICE_GRACE_MS = 7500;

/** Starts PostgreSQL, NATS and every service, and returns once all are well. On failure nothing is left running. */
export async function startSystem(options: SystemOptions = {}): Promise<System<ServiceName>> {
  const { say = () => {}, onLine = () => {}, readyTimeoutMs = READY_TIMEOUT_MS, signal } = options;
  const dataDir = resolve(options.dataDir ?? DATA_DIR);
  await using undo = new AsyncDisposableStack();

  const lock = await takeRunLock(join(dataDir, "run.pid"), say);
  undo.defer(() => lock.release());

  const wanted = scaled(SHOP, options.scale ?? {});
  const { shop, serverPorts } =
    options.ports === "free" ? await onFreePorts(wanted) : { shop: wanted, serverPorts: SERVER_PORTS };
  const places = shop.flatMap(({ service, ports, calls }) =>
    ports.map((port, index) => ({ service, port, calls, instance: `${service}-${index + 1}` })),
  );
  const serverOptions = {
    databaseUrl: options.databaseUrl,
    natsUrl: options.natsUrl,
    ports: serverPorts,
    dataDir,
    toolsDir: TOOLS_DIR,
    log: say,
    ...(signal ? { signal } : {}),
  };
  await assertPortsFree([
    ...(await claimServerPorts(serverOptions)),
    ...(options.smtpUrl ? [] : mailPorts(serverPorts)),
    ...places.map(({ port, instance }) => ({ port, for: instance })),
  ]);

  const servers = await startServers(serverOptions);
  undo.defer(() => stopServers(servers));

  const mail = options.smtpUrl
    ? undefined
    : await startMailSink({
        smtpPort: serverPorts.smtp,
        pagePort: serverPorts.mails,
        file: join(dataDir, "mails.jsonl"),
      });
  undo.defer(async () => mail?.stop());
  const smtpUrl = options.smtpUrl ?? mail?.smtpUrl ?? "";

  say("making a database for each service, where there is none");
  const databaseUrls = await makeDatabases(servers.databaseUrl, dataDir, options.databasePrefix ?? "weft_");
  signal?.throwIfAborted();

  const settings = { ...LOCAL_SETTINGS, ...passedOn(process.env, PASSED_ON) };
  say(
    "starting the services: on 127.0.0.1 only, and open there without a token (MESH_AUTH=off); " +
      `faults on demand: MESH_FAULTS=${settings.MESH_FAULTS}`,
  );
  const instances = places.map(({ service, instance, port, calls }) =>
    startInstance({
      service,
      instance,
      port,
      command: [findNode(), join(options.servicesDir ?? import.meta.dirname, service, "main.ts")],
      cwd: CHECKOUT,
      env: {
        ...settings,
        ...Object.fromEntries(calls.map((callee) => [`${callee.toUpperCase()}_TARGET`, `nats:///${callee}`])),
        // Nothing else of ours: order must not see payment's database.
        ...passedOn(
          process.env,
          calls.flatMap((callee) => [`${callee.toUpperCase()}_TRANSPORT`, `${callee.toUpperCase()}_TARGET`]),
        ),
        PORT: String(port),
        HOST: "127.0.0.1",
        INSTANCE: instance,
        DATABASE_URL: databaseUrls[service],
        NATS_URL: servers.natsUrl,
        ...(service === "notification" && { SMTP_URL: smtpUrl }),
        NODE_COMPILE_CACHE: join(dataDir, "compile-cache"),
        ...options.env,
      },
      logDir: join(dataDir, "logs"),
      log: say,
      onLine: (line) => onLine(instance, line),
      onStart: (pid) => lock.record(instance, pid),
    }),
  );
  undo.defer(async () => void (await Promise.all(instances.map((each) => each.end(SERVICE_GRACE_MS)))));
  await Promise.all(instances.map((each) => each.untilHealthy(readyTimeoutMs, signal)));
  const running = (name: string) => instances.filter(({ service }) => service === name).length;
  const operatorToken = options.env?.MESH_OPERATOR_TOKEN ?? settings.MESH_OPERATOR_TOKEN ?? "";
  await Promise.all(
    instances.map(({ instance, port }) =>
      untilDiscovered({ instance, port, running, operatorToken, timeoutMs: readyTimeoutMs, signal }),
    ),
  );

  const started = undo.move();
  const stop = () => started.disposeAsync();
  return systemOf({ instances, servers, mail, databaseUrls, readyTimeoutMs, stop });
}

async function onFreePorts(
  wanted: readonly Service[],
): Promise<{ shop: Service[]; serverPorts: typeof SERVER_PORTS }> {
  const count = wanted.flatMap(({ ports }) => ports).length;
  const free = await freePorts(count + 4);
  const [postgres, nats, smtp, mails] = free.splice(0, 4) as [number, number, number, number];
  const shop = wanted.map((each) => ({ ...each, ports: free.splice(0, each.ports.length) }));
  return { shop, serverPorts: { postgres, nats, smtp, mails } };
}

function mailPorts({ smtp, mails }: typeof SERVER_PORTS): PortUse[] {
  const orElse = "set SMTP_URL to use a mail server of your own";
  return [
    { port: smtp, for: "the mail sink", orElse },
    { port: mails, for: "the page of its mails", orElse },
  ];
}

async function makeDatabases(
  adminUrl: string,
  dataDir: string,
  prefix: string,
): Promise<Record<ServiceName, string>> {
  const names = SHOP.map(({ service }) => service);
  const passwords = keptSecrets(join(dataDir, "secrets.json"), names);
  const urls: Partial<Record<ServiceName, string>> = {};
  for (const name of names)
    urls[name] = await provision(adminUrl, { name: `${prefix}${name}`, password: passwords[name] });
  return urls as Record<ServiceName, string>;
}

/** Ours, if it is new enough to run TypeScript as it is; else the one that npm has brought. */
function findNode(): string {
  const major = Number.parseInt(process.versions.node, 10);
  return major >= 24 ? process.execPath : join(CHECKOUT, "node_modules/.bin/node");
}

if (import.meta.main) {
  const { DATABASE_URL: databaseUrl, NATS_URL: natsUrl, SMTP_URL: smtpUrl } = process.env;
  process.exitCode = await runInTerminal({
    startSystem: (options) =>
      startSystem({
        ...(databaseUrl && { databaseUrl }),
        ...(natsUrl && { natsUrl }),
        ...(smtpUrl && { smtpUrl }),
        ...options,
      }),
    services: SHOP.map(({ service }) => service),
    checkoutDir: CHECKOUT,
    dataDir: DATA_DIR,
    firstCommands: await firstCommands(),
  });
}

async function firstCommands(): Promise<string[]> {
  const [port] = SHOP.find(({ service }) => service === "order")?.ports ?? [];
  const order = JSON.stringify({
    customer_id: "cust-ada",
    lines: [{ product_id: "prod-espresso", quantity: 1 }],
    payment_token: "tok_ok",
    wait: "5s",
  });
  const method = "shop.order.v1.OrderService/PlaceOrder";
  const grpcurl = await findGrpcurl(TOOLS_DIR);
  if (grpcurl === undefined) {
    const buf = "node_modules/.bin/buf curl --protocol grpc --http2-prior-knowledge";
    return [
      `${buf} --list-methods http://localhost:${port}`,
      `${buf} -d '${order}' http://localhost:${port}/${method}`,
    ];
  }
  const command = `${grpcurl.startsWith(CHECKOUT) ? relative(CHECKOUT, grpcurl) : "grpcurl"} -plaintext`;
  return [`${command} localhost:${port} list`, `${command} -d '${order}' localhost:${port} ${method}`];
}

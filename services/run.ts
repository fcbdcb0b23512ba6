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
import { keptServiceKeys } from "../tools/local/service-keys.ts";
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
  {
    service: "gateway",
    ports: [8080],
    calls: ["product", "review", "order", "payment", "customer", "notification", "audit"],
  },
];
const SERVER_PORTS = { postgres: 15432, nats: 14222, smtp: 11025, mails: 18025 };

const WITH_DATABASE = ["product", "review", "order", "payment", "customer", "notification", "audit"] as const;

/** The name of a service of the shop that keeps something, in a database of its own. */
type KeeperName = (typeof WITH_DATABASE)[number];

/** The name of a service of the shop. */
export type ServiceName = KeeperName | "gateway";

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
  "MESH_AUTH",
  "MESH_FAULTS",
  "MESH_OPERATOR_TOKEN",
  "MESH_POLICY_FILE",
  "MESH_MAX_CONNECTION_AGE_MS",
  "MESH_DATA_PLANE",
  "CORS_ORIGINS",
  "REST_BODY_WITHIN_MS",
  "PAGE_FOLDER",
  "RATE_LIMIT",
  "RATE_LIMIT_CALLS_PER_ADDRESS",
  "RATE_LIMIT_CALLS_PER_CALLER",
  "RATE_LIMIT_WINDOW_MS",
  "TRUSTED_PROXIES",
  "NATS_CREDS",
  "NATS_CA",
  "NATS_REPLICAS",
];
const SERVICE_GRACE_MS = 7500;

/** Starts PostgreSQL, NATS and every service, and returns once all are well. On failure nothing is left running. */
export async function startSystem(options: SystemOptions = {}): Promise<System<ServiceName, KeeperName>> {
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

  const settings: Readonly<Record<string, string>> = {
    ...LOCAL_SETTINGS,
    ...passedOn(process.env, PASSED_ON),
    ...options.env,
  };
  const proofs = proofsIn(dataDir, places, settings);
  say(
    `starting the services: on 127.0.0.1 only, ${proofs.areAsked ? "for callers with a token" : "and open there without a token"} ` +
      `(MESH_AUTH=${settings.MESH_AUTH}), the gateway for callers with a token; ` +
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
        ...(service !== "gateway" && { DATABASE_URL: databaseUrls[service] }),
        NATS_URL: servers.natsUrl,
        ...(service === "notification" && { SMTP_URL: smtpUrl }),
        ...proofs.settingsOf(service),
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(dataDir, "compile-cache"),
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
  await Promise.all(
    instances.map(({ service, instance, port }) => {
      const operatorToken = proofs.operatorTokenOf(service as ServiceName);
      return untilDiscovered({ instance, port, running, operatorToken, timeoutMs: readyTimeoutMs, signal });
    }),
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

/**
 * What proves who calls: where the keys of people are, a token for operators and, where services ask for it, a key of its own
 * for each. The gateway always asks, so it has a token for operators too; it has no key: it asks for others only, and must not
 * get more than they would.
 */
function proofsIn(
  dataDir: string,
  places: readonly { readonly service: ServiceName; readonly port: number }[],
  settings: Readonly<Record<string, string>>,
) {
  const areAsked = settings.MESH_AUTH !== "off";
  const customer = places.find(({ service }) => service === "customer");
  const keys = keptServiceKeys(join(dataDir, "service-keys"), WITH_DATABASE);
  const { operator } = keptSecrets(join(dataDir, "operator-token.json"), ["operator"]);
  const operatorTokenOf = (service: ServiceName) =>
    settings.MESH_OPERATOR_TOKEN ?? (areAsked || service === "gateway" ? operator : "");
  return {
    areAsked,
    operatorTokenOf,
    settingsOf: (service: ServiceName) => ({
      MESH_JWKS_URL: `http://127.0.0.1:${customer?.port}/.well-known/jwks.json`,
      ...(operatorTokenOf(service) && { MESH_OPERATOR_TOKEN: operatorTokenOf(service) }),
      ...(areAsked &&
        service !== "gateway" && {
          MESH_SERVICE_KEYS: keys.publicKeys,
          MESH_SERVICE_KEY: keys.privateKeyOf(service),
        }),
    }),
  };
}

async function makeDatabases(
  adminUrl: string,
  dataDir: string,
  prefix: string,
): Promise<Record<KeeperName, string>> {
  const passwords = keptSecrets(join(dataDir, "secrets.json"), WITH_DATABASE);
  const urls: Partial<Record<KeeperName, string>> = {};
  for (const name of WITH_DATABASE)
    urls[name] = await provision(adminUrl, { name: `${prefix}${name}`, password: passwords[name] });
  return urls as Record<KeeperName, string>;
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
  const portOf = (name: ServiceName) => SHOP.find(({ service }) => service === name)?.ports[0];
  const page = `http://localhost:${portOf("gateway")} in a browser`;
  const port = portOf("order");
  const order = JSON.stringify({
    customer_id: "cust-ada",
    lines: [{ product_id: "prod-espresso", quantity: 1 }],
    payment_token: "tok_ok",
    wait: "5s",
  });
  if ((process.env.MESH_AUTH ?? LOCAL_SETTINGS.MESH_AUTH) !== "off")
    return [page, signedInCommand(order, portOf("gateway"))];
  const method = "shop.order.v1.OrderService/PlaceOrder";
  const grpcurl = await findGrpcurl(TOOLS_DIR);
  if (grpcurl === undefined) {
    const buf = "node_modules/.bin/buf curl --protocol grpc --http2-prior-knowledge";
    return [
      page,
      `${buf} --list-methods http://localhost:${port}`,
      `${buf} -d '${order}' http://localhost:${port}/${method}`,
    ];
  }
  const command = `${grpcurl.startsWith(CHECKOUT) ? relative(CHECKOUT, grpcurl) : "grpcurl"} -plaintext`;
  return [page, `${command} localhost:${port} list`, `${command} -d '${order}' localhost:${port} ${method}`];
}

/** An order where the services ask who calls: at the gateway, with a token that is a header in a file. */
function signedInCommand(order: string, port: number | undefined): string {
  const post = "curl -s -H 'content-type: application/json'";
  const ada = JSON.stringify({ email: "ada@example.com", password: "ada-demo" });
  const asHeader = `sed -E 's/.*"accessToken":"([^"]+)".*/authorization: Bearer \\1/' > .data/ada`;
  const signIn = `${post} -d '${ada}' http://localhost:${port}/v1/customers:signIn | ${asHeader}`;
  return `${signIn} && ${post} -H @.data/ada -d '${order}' http://localhost:${port}/v1/orders`;
}

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");

interface Import {
  /** A file of ours, from the root, or the name of a package. */
  readonly to: string;
  readonly isOurs: boolean;
  readonly isTypeOnly: boolean;
}

interface Source {
  readonly file: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const sources = ["gen", "mesh", "meshctl", "services", "tools", "web"].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file))
    .map((file) => read(join(folder, file))),
);
const code = sources.filter(({ file }) => !file.endsWith(".test.ts"));

function read(file: string): Source {
  const text = readFileSync(join(ROOT, file), "utf8");
  const found = text.matchAll(/^\s*(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm);
  const imports = [...found].map(([, type, to = ""]) => ({
    to: to.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(file), to)) : to,
    isOurs: to.startsWith("."),
    isTypeOnly: type !== undefined,
  }));
  return { file, text, imports };
}

/** The imports of some files that a rule does not allow, as "file -> import". */
function offences(of: (file: string) => boolean, allows: (to: string, from: Source) => boolean): string[] {
  return code
    .filter(({ file }) => of(file))
    .flatMap((source) =>
      source.imports.filter(({ to }) => !allows(to, source)).map(({ to }) => `${source.file} -> ${to}`),
    );
}

const below =
  (...folders: string[]) =>
  (path: string) =>
    folders.some((folder) => path.startsWith(`${folder}/`));
const isPackage = (to: string) => !/^(gen|mesh|services|tools|tests|web|meshctl)\//.test(to);

test("the check sees the imports of this repository", () => {
  const app = code.find(({ file }) => file === "services/order/app.ts");
  expect(app?.imports.map(({ to }) => to)).toContain("mesh/app/serve.ts");
  expect(code.length).toBeGreaterThan(100);
});

test("gen imports the protobuf runtime and the validation rules only", () => {
  const allowed = /^(@bufbuild\/protobuf(\/.*)?|@bufbuild\/protovalidate\/gen\/.*)$/;
  expect(offences(below("gen"), (to) => allowed.test(to) || to.startsWith("gen/"))).toEqual([]);
});

/** Which rooms of the mesh each room may enter, besides itself. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  telemetry: ["core"],
  contract: ["core"],
  nats: ["core"],
  discovery: ["core", "nats"],
  resilience: ["core", "contract"],
  balancing: ["core", "contract"],
  store: ["core", "contract"],
  auth: ["core", "contract"],
  http2: ["core"],
  grpc: ["core", "http2"],
  rpc: ["core", "contract", "nats", "discovery", "resilience", "balancing", "telemetry"],
  rest: ["core", "contract", "resilience", "rpc"],
  edge: ["core", "contract", "rpc", "rest"],
  events: ["core", "contract", "nats", "store", "telemetry"],
  app: ["core", "contract", "auth", "nats", "discovery", "resilience", "telemetry", "store", "rpc", "events"],
  testing: [
    "core",
    "contract",
    "nats",
    "discovery",
    "resilience",
    "balancing",
    "telemetry",
    "store",
    "rpc",
    "rest",
    "edge",
    "auth",
    "events",
    "app",
  ],
};

test("every room of the mesh has its rule", () => {
  expect(readdirSync(join(ROOT, "mesh")).sort()).toEqual(Object.keys(ROOMS).sort());
});

test.each(Object.entries(ROOMS))("mesh/%s enters only the rooms below it", (room, rooms) => {
  const mayEnter = below(...[room, ...rooms].map((each) => `mesh/${each}`));
  // The mesh knows its own contracts and the standard ones, never those of the shop.
  const contracts = room === "core" ? () => false : below("gen/mesh", "gen/google", "gen/grpc");
  const tools = room === "testing" ? below("tools", "gen") : () => false;
  const allows = (to: string) => isPackage(to) || mayEnter(to) || contracts(to) || tools(to);
  expect(offences(below(`mesh/${room}`), allows)).toEqual([]);
});

/** These files, and all that they load, by way of others too. */
function loadedBy(files: readonly string[]): Set<string> {
  const loaded = new Set<string>();
  const load = (file: string) => {
    if (loaded.has(file)) return;
    loaded.add(file);
    const source = code.find((each) => each.file === file);
    for (const { to, isOurs, isTypeOnly } of source?.imports ?? []) if (isOurs && !isTypeOnly) load(to);
  };
  for (const file of files) load(file);
  return loaded;
}

test("what a browser may load uses nothing of Node", () => {
  const forBrowsers = below("mesh/resilience", "mesh/contract", "web/src");
  const loaded = loadedBy(code.map(({ file }) => file).filter(forBrowsers));
  expect([...loaded]).toEqual(
    expect.arrayContaining(["mesh/core/clock.ts", "gen/mesh/policy/v1/policy_pb.ts"]),
  );
  const packages =
    /^(@bufbuild\/protobuf(\/.*)?|@bufbuild\/protovalidate\/gen\/.*|@connectrpc\/connect|lru-cache)$/;
  const ofNode = offences(
    (file) => loaded.has(file),
    (to, { file }) => !isPackage(to) || packages.test(to) || (below("web")(file) && OF_THE_PAGE.test(to)),
  );
  expect(ofNode).toEqual([]);
  const globals = /\b(process\.\w|Buffer\.\w|setImmediate\()/;
  const users = code.filter(({ file, text }) => loaded.has(file) && globals.test(text));
  expect(users.map(({ file }) => file)).toEqual([]);
});

test("the client's half of mesh/rpc and the server's do not enter each other", () => {
  const [client, server] = [below("mesh/rpc/client"), below("mesh/rpc/server")];
  expect(offences(client, (to) => !server(to))).toEqual([]);
  expect(offences(server, (to) => !client(to))).toEqual([]);
});

const SERVICES = readdirSync(join(ROOT, "services"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

test.each(SERVICES)(
  "services/%s imports the mesh, the contracts and itself, never another service",
  (service) => {
    const ours = below(`services/${service}`, "gen", ...Object.keys(ROOMS).map((room) => `mesh/${room}`));
    const allows = (to: string) => (isPackage(to) || ours(to)) && !to.startsWith("mesh/testing/");
    expect(offences(below(`services/${service}`), allows)).toEqual([]);
  },
);

test("services/run.ts starts processes and imports no service", () => {
  const allows = (to: string) => isPackage(to) || to === "mesh/store/provision.ts" || to.startsWith("tools/");
  expect(offences((file) => file === "services/run.ts", allows)).toEqual([]);
});

test("our own data plane is two folders and one line: without them the mesh runs on the others", () => {
  const own = /^mesh\/(grpc|http2)\//;
  const importers = code.filter(
    ({ file, imports }) => !own.test(file) && imports.some(({ to }) => own.test(to)),
  );
  expect(importers.map(({ file }) => file)).toEqual([]);
  const lines = code
    .filter(({ file }) => !own.test(file))
    .flatMap(({ file, text }) =>
      text.split("\n").flatMap((line) => (/\bimport\(".*\/(grpc|http2)\//.test(line) ? [file] : [])),
    );
  expect(lines).toEqual(["mesh/rpc/data-planes.ts"]);
});

test("meshctl is a client of what services offer, and nothing else", () => {
  const ours = below("gen", "meshctl", "mesh/core", "mesh/rpc/client", "mesh/discovery");
  const table = ["mesh/rpc/data-planes.ts", "mesh/rpc/errors.ts", "tools/local/table.ts"];
  expect(code.some(({ file }) => file === "meshctl/main.ts")).toBe(true);
  expect(offences(below("meshctl"), (to) => isPackage(to) || ours(to) || table.includes(to))).toEqual([]);
});

/** What the page is made of, beside what the mesh's policies need. */
const OF_THE_PAGE =
  /^(react|react-dom\/client|wouter|uuid|@tanstack\/react-query|@connectrpc\/connect-(web|query))$/;

test("web is a client like any other: it imports the contracts and the mesh's policies only", () => {
  const ours = below("gen", "mesh/resilience", "web/src");
  expect(code.some(({ file }) => file === "web/src/main.tsx")).toBe(true);
  expect(offences(below("web/src"), (to) => isPackage(to) || ours(to))).toEqual([]);
});

/** Has nothing of its own: no noun, no RPC, no database. */
const EDGE = "gateway";

test.each(SERVICES)("services/%s has the files that every service has", (service) => {
  const files = readdirSync(join(ROOT, "services", service));
  const always = ["README.md", "app.ts", "config.ts", "main.ts"];
  const ofKeepers = ["service.ts", "store.ts", "migrations", `${service}.ts`];
  expect(files).toEqual(expect.arrayContaining(always));
  expect(ofKeepers.filter((file) => files.includes(file))).toEqual(service === EDGE ? [] : ofKeepers);
  const main = readFileSync(join(ROOT, "services", service, "main.ts"), "utf8");
  expect(main.split("\n").length).toBeLessThanOrEqual(20);
});

test.each(SERVICES)(
  "inside services/%s the noun is pure, the store is SQL, and only main starts",
  (service) => {
    const here = `services/${service}/`;
    const noun = `${here}${service}.ts`;
    const rules: [string, (to: string) => boolean][] = [
      [noun, (to) => below("mesh/core", "mesh/contract")(to) || /^gen\/.*_error_pb\.ts$/.test(to)],
      [`${here}store.ts`, (to) => to === noun || below("mesh/store", "mesh/core")(to)],
      [
        `${here}main.ts`,
        (to) => [`${here}app.ts`, `${here}config.ts`].includes(to) || below("mesh/core")(to),
      ],
      [`${here}config.ts`, below("mesh/core", "mesh/app", "mesh/edge", "mesh/rpc", "mesh/discovery")],
    ];
    for (const [file, allows] of rules) expect(offences((each) => each === file, allows)).toEqual([]);
    const importers = offences(
      below(`services/${service}`),
      (to) => to !== `${here}app.ts` && to !== `${here}main.ts`,
    );
    expect(importers).toEqual([`${here}main.ts -> ${here}app.ts`]);
  },
);

/** Who alone may use a third party. */
const KEEPERS: [string, RegExp, (file: string) => boolean][] = [
  [
    "the NATS client",
    /^@nats-io\//,
    (file) =>
      below("mesh/nats", "mesh/discovery", "mesh/events", "mesh/testing")(file) ||
      file === "tools/local/stray-event.ts",
  ],
  [
    "the database driver",
    /^postgres$/,
    (file) => below("mesh/store", "tools")(file) || /^services\/\w+\/store\.ts$/.test(file),
  ],
  ["connect-node", /^@connectrpc\/connect-node$/, below("mesh/rpc", "mesh/testing")],
  ["grpc-js", /^@grpc\//, below("mesh/rpc", "mesh/testing")],
  ["OpenTelemetry", /^@opentelemetry\//, below("mesh/telemetry")],
];

test.each(KEEPERS)("%s is used where it belongs only", (_, name, keeps) => {
  const users = code.filter(({ imports }) => imports.some(({ to, isOurs }) => !isOurs && name.test(to)));
  expect(users.length).toBeGreaterThan(0);
  expect(users.map(({ file }) => file).filter((file) => !keeps(file))).toEqual([]);
});

test("the environment is read where a process begins only", () => {
  const mayRead =
    /^(services\/\w+\/main\.ts|meshctl\/main\.ts|services\/run\.ts|mesh\/core\/(config|process)\.ts|tools\/.*|mesh\/testing\/.*)$/;
  const readers = code.filter(({ text }) => /\bprocess\.env\b/.test(text)).map(({ file }) => file);
  expect(readers).toContain("services/order/main.ts");
  expect(readers.filter((file) => !mayRead.test(file))).toEqual([]);
});

test("no file imports itself by way of others, types left out", () => {
  const edges = new Map(
    code.map(({ file, imports }) => [
      file,
      imports.filter((i) => i.isOurs && !i.isTypeOnly).map(({ to }) => to),
    ]),
  );
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file].join(" -> ");
    if (done.has(file)) return undefined;
    for (const to of edges.get(file) ?? []) {
      const cycle = visit(to, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  expect([...edges.keys()].map((file) => visit(file, [])).filter(Boolean)).toEqual([]);
});

test("nothing is left to do later without an owner, and nothing names a machine", () => {
  const bad = sources.filter(({ file, text }) => {
    if (file.startsWith("gen/")) return false;
    return /\b(TODO|FIXME|XXX)\b|\/work\/|registry\.npmjs/.test(text.replace(/tests\/architecture.*/g, ""));
  });
  expect(bad.map(({ file }) => file)).toEqual([]);
});

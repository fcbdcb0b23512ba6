import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve, sep } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { expect, test } from "vitest";
import { normaliseOutcomes } from "../mesh/resilience/normalise.ts";
import { outcomeOf } from "../mesh/resilience/outcome.ts";
import { atEnd } from "../mesh/testing/at-end.ts";
import { testServer } from "../mesh/testing/server.ts";
import { freePort } from "../tools/local/ports.ts";
import { makeCalls, type Seen, toys } from "./browser-calls.ts";
import { CHROMIUM_FLAGS, findChromium } from "./chromium.ts";

const ROOT = resolve(import.meta.dirname, "..");

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

/** A server of the mesh whose calls fail as {@link makeCalls} says, and which is the page's own too. */
async function serve(http: (request: Request) => Response | undefined = () => undefined) {
  const asked: (string | null)[] = [];
  const timeouts: number[] = [];
  let orders = 0;
  const unavailable = () => new ConnectError("away", Code.Unavailable);
  const server = await testServer(
    toys,
    {
      ask({ text }, { requestHeader }) {
        asked.push(requestHeader.get("grpc-previous-rpc-attempts"));
        timeouts.push(Number(requestHeader.get("connect-timeout-ms")));
        if (asked.length < 3) throw unavailable();
        return { text };
      },
      order() {
        orders++;
        throw unavailable();
      },
    },
    { http },
  );
  return { url: server.url, asked, timeouts, orders: () => orders };
}

function expectSeen(seen: Seen, { asked, timeouts, orders }: Awaited<ReturnType<typeof serve>>): void {
  expect(seen.answer).toBe("hello");
  expect(asked).toEqual([null, "1", "2"]);
  expect(timeouts).toEqual([...timeouts].sort((a, b) => b - a));
  expect(timeouts[0]).toBeLessThanOrEqual(10_000);
  // The sixth order was not sent.
  expect(seen.refusals).toEqual([...Array(5).fill("none"), "BREAKER_OPEN"]);
  expect(orders()).toBe(5);
}

test("the guide shows the example as it is", () => {
  const [, block] = /```ts\n(.*?)```/s.exec(read("docs/guides/in-the-browser.md")) ?? [];
  expect(block).toBe(read("docs/guides/in-the-browser.ts"));
});

test("over fetch in Node a call is made three times, and a breaker opens after five failures", async () => {
  const server = await serve();
  const seen = await makeCalls(server.url, `http://127.0.0.1:${await freePort()}`);
  expectSeen(seen, server);
  expect(seen.away).toBe("[unavailable] nobody listens there, NOT_SENT");
});

test.each([
  ["Failed to fetch", "LOST"],
  ["network error", "LOST"],
  ["NetworkError when attempting to fetch resource.", "LOST"],
  ["Load failed", "LOST"],
  ["Cannot read properties of undefined (reading 'fetch')", "STATUS"],
])("the TypeError %j of a browser's fetch is %s", async (text, kind) => {
  const fetch = () => Promise.reject(new TypeError(text));
  const interceptors = [normaliseOutcomes()];
  const client = createClient(toys, createConnectTransport({ baseUrl: "http://toys", fetch, interceptors }));
  const error = await client.ask({}).catch((thrown: unknown) => thrown);
  expect(outcomeOf(error).kind).toBe(kind);
});

test("in a browser every policy loads, and over its fetch it is the same", async () => {
  // The first time it is unpacked.
  const chromium = await findChromium();
  const seen = Promise.withResolvers<Seen>();
  const server = await serve((request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/seen") seen.resolve(JSON.parse(searchParams.get("json") ?? ""));
    if (pathname === "/failed") seen.reject(new Error(`the page failed: ${searchParams.get("why")}`));
    return pathname === "/" ? page(nobodyUrl) : module(pathname);
  });
  const nobodyUrl = `http://127.0.0.1:${await freePort()}`;
  const profile = mkdtempSync(join(tmpdir(), "weft-chromium-"));
  const browser = spawn(chromium, [...CHROMIUM_FLAGS, `--user-data-dir=${profile}`, server.url], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(browser, "exit");
  atEnd(async () => {
    browser.kill();
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  const said: string[] = [];
  browser.stderr.setEncoding("utf8").on("data", (text) => said.push(text));
  const died = ended.then(() => {
    throw new Error(`chromium ended: ${said.join("")}`);
  });
  const result = await Promise.race([seen.promise, died]);
  expectSeen(result, server);
  expect(result.away).toBe("[unavailable] the connection was lost, LOST");
}, 90_000);

/** The page that makes the calls and says what it saw. No bundle: the browser loads the modules as they are. */
function page(nobodyUrl: string): Response {
  const packages = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web", "lru-cache"];
  const imports = Object.fromEntries(packages.flatMap(entriesOf));
  const policies = readdirSync(join(ROOT, "mesh/resilience"))
    .filter((file) => !file.endsWith(".test.ts"))
    .map((file) => `/mesh/resilience/${file}`);
  const html = `<!doctype html>
    <script type="importmap">${JSON.stringify({ imports })}</script>
    <script type="module">
      const tell = (path, query) => fetch(path + "?" + new URLSearchParams(query));
      Promise.all(${JSON.stringify(policies)}.map((file) => import(file)))
        .then(() => import("/tests/browser-calls.ts"))
        .then(({ makeCalls }) => makeCalls(location.origin, ${JSON.stringify(nobodyUrl)}))
        .then((seen) => tell("/seen", { json: JSON.stringify(seen) }))
        .catch((error) => tell("/failed", { why: String(error) }));
    </script>`;
  return new Response(html, { headers: { "content-type": "text/html" } });
}

/** The entries of a package by what imports call them, and where the server has them. */
function entriesOf(name: string): [string, string][] {
  const { exports } = JSON.parse(read(`node_modules/${name}/package.json`)) as {
    exports: Record<string, { import: string | { browser: { default: string } } }>;
  };
  return Object.entries(exports).map(([key, to]) => [
    name + key.slice(1),
    join("/node_modules", name, typeof to.import === "string" ? to.import : to.import.browser.default),
  ]);
}

function module(path: string): Response | undefined {
  const file = join(ROOT, path);
  if (!file.startsWith(ROOT + sep) || !/\.[jt]s$/.test(file) || !existsSync(file)) return undefined;
  const source = readFileSync(file, "utf8");
  const body = file.endsWith(".ts") ? stripTypeScriptTypes(source) : source;
  return new Response(body, { headers: { "content-type": "text/javascript" } });
}

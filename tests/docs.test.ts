import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { expect, test } from "vitest";
import { canRun, run } from "./commands.ts";
import { buildPage } from "./page.ts";
import { eventually, openShop } from "./shop.ts";

const ROOT = resolve(import.meta.dirname, "..");
const readme = read("README.md");
const patterns = read("docs/patterns.md");

function read(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

const shop = await openShop({ PAGE_FOLDER: await buildPage() });

/** The commands of the README's `sh` blocks; one that spans lines is one. */
const commands = [...readme.matchAll(/```sh\n(.*?)```/gs)]
  .flatMap(([, block = ""]) => block.split(/\n(?=\S+(?: |$))(?=grpcurl|curl|node_modules|make)/))
  .map((command) => command.trim());

test("the README has commands to run", () => {
  expect(commands.filter((command) => command.startsWith("grpcurl")).length).toBeGreaterThanOrEqual(6);
});

/** What the answer to a README command must hold, by a word of the command. */
const ANSWERS: readonly [string, string][] = [
  ["signIn", "authorization: Bearer "],
  ["8080/v1/orders", '"state":"ORDER_STATE_CONFIRMED"'],
  [":reviewed", '"title":"Wakes the dead"'],
  ["8080/v1/customers", '"customerId":"cust-ada"'],
  ["PlaceOrder", '"state": "ORDER_STATE_CONFIRMED"'],
  ["CreateReview", '"title": "Wakes the dead"'],
  ["GetProduct", '"productId": "prod-espresso"'],
  [" list", "shop.order.v1.OrderService"],
  ["describe", "rpc PlaceOrder"],
  ["Health/Check", "SERVING"],
  ["ListOrders", '"customerId": "cust-ada"'],
  ["ListProducts", '"nextPageToken"'],
  ["jwks.json", '"keys"'],
  ["GetState", '"target": "nats:///product"'],
  ["/metrics", "mesh_breaker_state{"],
  ["meshctl", "no dead letters"],
];

const readmeCommands = commands.filter((command) => !command.startsWith("make "));

test.for(readmeCommands)("README: %s", async (command, { skip }) => {
  if (!canRun(command)) skip("grpcurl needs Go");
  const [, answer] = ANSWERS.find(([word]) => command.includes(word)) ?? [];
  if (answer === undefined) throw new Error("say in ANSWERS what this command answers");
  // A review needs what its author's order has announced.
  const { output } = await eventually(async () => {
    const result = await run(shop, command);
    if (result.exitCode !== 0) throw new Error(result.output);
    return result;
  });
  expect(output).toContain(answer);
});

test.for(["product", "review", "order", "payment", "customer", "notification", "audit"] as const)(
  "grpcurl finds the contract of %s on its port by reflection, options and all",
  async (service, { skip }) => {
    if (!canRun("grpcurl")) skip("grpcurl needs Go");
    const name = `shop.${service}.v1.${service[0]?.toUpperCase()}${service.slice(1)}Service`;
    const port = shop.system.address(service);
    expect((await run(shop, `grpcurl -plaintext ${port} list`)).output.split("\n")).toEqual(
      expect.arrayContaining([name, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]),
    );
    const { output } = await run(shop, `grpcurl -plaintext ${port} describe ${name}`);
    expect(output).toContain("option idempotency_level = NO_SIDE_EFFECTS;");
    const request = await run(shop, `grpcurl -plaintext ${port} describe .shop.order.v1.GetOrderRequest`);
    if (service === "order") expect(request.output).toContain("(.buf.validate.field)");
  },
);

const rows = patterns.split("\n").filter((line) => /^\| [A-Z]/.test(line) && line.includes("`"));

test("docs/patterns.md has rows", () => {
  expect(rows.length).toBeGreaterThan(20);
});

test.for(rows)("docs/patterns.md: %s", async (row, { skip }) => {
  const [, , , file = "", command = "", sees = ""] = row
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("`", "").replaceAll("\\|", "|"));
  expect(existsSync(join(ROOT, file)), file).toBe(true);
  if (command.startsWith("make ")) {
    expect(read("Makefile")).toMatch(new RegExp(`^${command.slice(5)}:.*## `, "m"));
  } else {
    if (!canRun(command)) skip("grpcurl needs Go");
    const { output, exitCode } = await answerOf(command);
    const refusal = /INVALID_ARGUMENT|NOT_FOUND/.exec(sees)?.[0];
    const isWatch = command.includes("-max-time 2");
    if (refusal) expect(output.toUpperCase()).toContain(`CODE: ${refusal.replace("_", "")}`);
    else if (!isWatch) expect({ exitCode, output }).toMatchObject({ exitCode: 0 });
    expect(output.trim()).not.toBe("");
  }
});

/** What a command answers; a line of a log is in its file a moment after it was written. */
async function answerOf(command: string): ReturnType<typeof run> {
  if (!command.includes(".data/logs/")) return run(shop, command);
  return eventually(async () => {
    const answer = await run(shop, command);
    expect(answer).toMatchObject({ exitCode: 0 });
    return answer;
  });
}

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...markdownBelow("docs"),
  ...markdownBelow("services"),
];

function markdownBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(folder, file));
}

test.each(pages)("%s links to what is there", (page) => {
  const links = [...read(page).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, link = ""]) => link);
  expect(links.filter((link) => !existsSync(resolve(ROOT, dirname(page), link)))).toEqual([]);
});

test("the README's table of dependencies is that of package.json", () => {
  const { dependencies, devDependencies } = JSON.parse(read("package.json"));
  const names = Object.keys({ ...dependencies, ...devDependencies });
  const table = readme.slice(readme.indexOf("## Dependencies"));
  const short = (name: string) => name.replace(/^@(bufbuild|nats-io|connectrpc|opentelemetry)\//, "");
  expect(
    names.filter((name) => !table.includes(`\`${name}\``) && !table.includes(`\`${short(name)}\``)),
  ).toEqual([]);
});

test("every target that the help lists has a rule, and those that the README and the judges' page name are listed", () => {
  const targets = [...read("Makefile").matchAll(/^([a-z0-9-]+):.*## /gm)].map(([, name]) => name);
  const named = [...(readme + read("docs/conformance.md")).matchAll(/(?:^|`)make ([a-z0-9-]+)/gm)].map(
    ([, name]) => name,
  );
  expect(named.filter((name) => !targets.includes(name))).toEqual([]);
});

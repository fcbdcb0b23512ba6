import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JWK } from "jose";
import postgres from "postgres";
import { expect, test } from "vitest";
import { BAD_INPUT } from "./bad-input/cases.ts";
import { INTERNAL } from "./bad-input/internal.ts";
import { sendRaw } from "./bad-input/raw-http.ts";
import { tokenCases } from "./bad-input/token-cases.ts";
import { openShop } from "./shop.ts";

// Longer than a body takes that is sent at once, however busy the machine is.
const shop = await openShop({
  REST_BODY_WITHIN_MS: "3000",
  MESH_OPERATOR_TOKEN: "operator-secret",
  // Without the shop's page, which may have been built: its paths are none of REST's.
  PAGE_FOLDER: "none",
  // So that what stands in `x-forwarded-for` is read; those who say who they are, all in all, are not limited by it.
  TRUSTED_PROXIES: "loopback",
  RATE_LIMIT_CALLS_PER_ADDRESS: "100000",
});
const gateway = () => {
  const found = shop.system.instances.find(({ service }) => service === "gateway");
  if (!found?.pid) throw new Error("the gateway is down");
  return { ...found, pid: found.pid };
};
const { port, pid } = gateway();
const { authorization } = await shop.signIn("ops");
const token = async (name: "ada" | "grace") => (await shop.signIn(name)).authorization.split(" ")[1] ?? "";
const { order } = await shop.orders.placeOrder({
  customerId: "cust-ada",
  lines: [{ productId: "prod-espresso", quantity: 1 }],
  paymentToken: "tok_ok",
  wait: { seconds: 30n },
});
const BAD_TOKENS = await tokenCases({
  ...(await signingKey()),
  orderId: order?.orderId ?? "",
  ada: await token("ada"),
  grace: await token("grace"),
});

/** As somebody who may do all of it, unless the input says something else. */
function send({ headers = [], ...input }: (typeof BAD_INPUT)[number]) {
  const saysWho = headers.some((header) => /^authorization/i.test(header));
  return sendRaw(port, {
    ...input,
    headers: saysWho ? headers : [`Authorization: ${authorization}`, ...headers],
  });
}

test.each(BAD_INPUT.map((input) => [input.name, input] as const))("%s", async (_, input) => {
  const { status, text, answers } = await send(input);
  expect([status, answers], text).toEqual([input.status, 1]);
  expect(text).toContain(input.says);
  expect(text.split("\r\n\r\n", 2)[1], "an answer says why").not.toBe("");
  expect(text).not.toMatch(INTERNAL);
});

test.each(BAD_TOKENS.map((input) => [input.name, input] as const))("%s", async (_, input) => {
  const { status, text, answers } = await sendRaw(port, input);
  expect([status, answers], text).toEqual([input.status, 1]);
  expect(text).toContain(input.says);
  expect(text).not.toMatch(INTERNAL);
  if (status === 401) expect(text.toLowerCase()).toContain("www-authenticate: bearer");
});

test("all of it together, again and again, leaves the gateway as it was", { timeout: 120_000 }, async () => {
  const quick = BAD_INPUT.filter(({ status }) => status !== 408);
  const all = async () => {
    for (let at = 0; at < quick.length; at += 20) await Promise.all(quick.slice(at, at + 20).map(send));
  };
  await all();
  const beforeMib = residentMib(pid);
  for (let times = 0; times < 3; times++) await all();
  // Of what was sent in between, a third would be more.
  expect(residentMib(pid) - beforeMib).toBeLessThan(100);
  expect(gateway()).toMatchObject({ pid, restarts: 0 });
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  expect((await fetch(`http://127.0.0.1:${port}/v1/products/prod-rare`)).status).toBe(200);
});

test("none of it is a failure of the gateway's own, and its log holds no secret", async () => {
  const log = await readFile(join(shop.dataDir, "logs/gateway-1.log"), "utf8");
  expect(log.split("\n").filter((line) => line.includes('"level":"error"'))).toEqual([]);
  expect(log).not.toContain("operator-secret");
  // How every token begins.
  expect(log).not.toContain("eyJ");
});

test("there are enough of them", () => {
  const all = [...BAD_INPUT, ...BAD_TOKENS];
  console.log(`bad input: ${all.length} cases`);
  expect(BAD_INPUT.length).toBeGreaterThanOrEqual(200);
  expect(BAD_TOKENS.length).toBeGreaterThanOrEqual(80);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});

/** What the customer service signs with, out of its database. */
async function signingKey(): Promise<{ readonly kid: string; readonly privateJwk: JWK }> {
  const sql = postgres(shop.system.databaseUrls.customer, { max: 1 });
  const [key] = await sql<{ kid: string; privateJwk: JWK }[]>`
    SELECT kid, private_jwk AS "privateJwk" FROM signing_key ORDER BY number LIMIT 1`;
  await sql.end();
  if (!key) throw new Error("there is no key");
  return key;
}

function residentMib(pid: number): number {
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024;
}

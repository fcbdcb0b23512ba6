import { expect, test } from "vitest";
import { random } from "../mesh/testing/random.ts";
import { fuzzedCall } from "./bad-input/fuzz.ts";
import { INTERNAL } from "./bad-input/internal.ts";
import { sendRaw } from "./bad-input/raw-http.ts";
import { type Documented, operationsOf } from "./documents/operations.ts";
import { openShop } from "./shop.ts";

const CASES = Number(process.env.CASES || 2_000);
const SEED = Number(process.env.SEED || 1);
const AT_ONCE = 8;

const shop = await openShop({ RATE_LIMIT: "off" });
const gateway = () => shop.system.instances.find(({ service }) => service === "gateway");
const port = gateway()?.port ?? 0;
const { authorization } = await shop.signIn("ops");

test(`${CASES} calls from seed ${SEED}, well in most parts and bad in some, are each answered or refused`, {
  timeout: 60_000 + CASES * 200,
}, async () => {
  const document = (await (await fetch(`http://127.0.0.1:${port}/openapi.json`)).json()) as Documented;
  const operations = operationsOf(document);
  const chance = random(SEED);
  const before = gateway();
  const statuses = new Map<number, number>();
  for (let sent = 0; sent < CASES; sent += AT_ONCE) {
    const calls = Array.from({ length: Math.min(AT_ONCE, CASES - sent) }, () =>
      fuzzedCall(document, operations, chance),
    );
    const answers = await Promise.all(
      calls.map((call) =>
        sendRaw(port, { ...call, headers: [`Authorization: ${authorization}`, ...(call.headers ?? [])] }),
      ),
    );
    for (const [at, { status, text }] of answers.entries()) {
      const what = `case ${sent + at} of seed ${SEED}: ${JSON.stringify(calls[at])} was answered with ${text}`;
      // A machine that is too busy may shed or run out of time, which says so; anything else is a fault.
      expect(status >= 200 && (status < 500 || status === 503 || status === 504), what).toBe(true);
      if (status >= 400 && !calls[at]?.line.startsWith("HEAD"))
        expect(text.split("\r\n\r\n", 2)[1], what).not.toBe("");
      expect(text, what).not.toMatch(INTERNAL);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  }
  console.log(`fuzzed calls by status: ${JSON.stringify(Object.fromEntries([...statuses].sort()))}`);
  // Neither all of them nor none: else it would not have come far.
  expect(statuses.get(200)).toBeGreaterThan(CASES / 50);
  expect(statuses.get(400)).toBeGreaterThan(CASES / 50);
  expect(gateway()).toEqual(before);
  expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
});

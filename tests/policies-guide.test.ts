import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { file_mesh_policy_v1_policy } from "../gen/mesh/policy/v1/policy_pb.ts";
import { methodPolicy, servicePolicy } from "../mesh/contract/policy.ts";

const guide = readFileSync(join(import.meta.dirname, "..", "docs", "guides", "policies.md"), "utf8");

const HEADINGS: Readonly<Record<string, string>> = {
  MethodPolicy: "## Of a method\n",
  ServicePolicy: "## Of a service\n",
};

/** Where the guide tells of a message: in its section, in a table of its own, or in the row of the field that holds it. */
function toldOf(message: string): string {
  const heading = HEADINGS[message];
  if (heading) return guide.split(heading)[1]?.trim().split("\n\n")[0] ?? "";
  const field = message.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
  const table = guide.split("\n\n").find((part) => part.startsWith(`| of \`${field}\` |`));
  return table ?? guide.split("\n").find((line) => line.startsWith(`| \`${field}\` |`)) ?? "";
}

const fields = file_mesh_policy_v1_policy.messages
  .filter(({ name }) => name !== "PolicyOverrides")
  .flatMap((message) => message.fields.map(({ name }) => [message.name, name] as const));

test.each(fields)("the guide tells what %s.%s says", (message, name) => {
  expect(toldOf(message)).toContain(`\`${name}\``);
});

/** The last cell of the row that tells of a field, or of several. */
function defaultOf(field: string): string | undefined {
  const row = guide.split("\n").find((line) => line.startsWith("| ") && line.includes(field));
  return row?.split(" | ").at(-1)?.replace(/ \|$/, "");
}

test("the defaults that the guide names are those of a contract that states nothing", () => {
  const { timeoutMs, maxTimeoutMs, dedupeTtlMs, fallbackTimeoutMs, retry } = methodPolicy(
    Health.method.check,
  );
  const { backoff, maxAttempts } = retry;
  expect(defaultOf("`timeout`")).toMatch(new RegExp(`^${timeoutMs / 1_000} s`));
  expect(defaultOf("`max_timeout`")).toBe(`${maxTimeoutMs / 1_000} s`);
  expect(defaultOf("`dedupe_ttl`")).toBe(`${dedupeTtlMs / 3_600_000} h`);
  expect(defaultOf("`fallback`")).toBe(`no, ${fallbackTimeoutMs} ms`);
  expect(defaultOf("`max_attempts` | attempts in all, 1")).toBe(String(maxAttempts));
  expect(defaultOf("`initial_backoff`")).toBe(
    `${backoff.initialMs} ms, ${backoff.maxMs} ms, ${backoff.multiplier}`,
  );

  const { gate, breaker, bulkhead, slowStartMs } = servicePolicy(Health);
  if (gate.kind !== "budget") throw new Error("the default gate is a budget");
  expect(defaultOf("`retry_budget`")).toBe(`${gate.ratio}, ${gate.minPerSecond}, ${gate.ttlMs / 1_000} s`);
  expect(defaultOf("`failure_ratio`")).toBe(`${breaker.failureRatio}, ${breaker.minCalls}`);
  expect(defaultOf("`open_base`")).toBe(
    `${breaker.openBaseMs / 1_000} s, ${breaker.openMaxMs / 1_000} s, ${breaker.openJitter}`,
  );
  expect(defaultOf("`consecutive`")).toMatch(new RegExp(`^${breaker.consecutive};`));
  expect(defaultOf("`probes`")).toBe(String(breaker.probes));
  expect(defaultOf("`max_concurrent`")).toMatch(new RegExp(`^${bulkhead.maxConcurrent},`));
  expect(defaultOf("`slow_start`")).toBe(`P2C_PEAK_EWMA, ${slowStartMs / 1_000} s`);
});

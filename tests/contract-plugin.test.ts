import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buf } from "../tools/contracts/buf.ts";
import { buildImage } from "../tools/contracts/contract-images.ts";
import { everyRule } from "../tools/contracts/plugin/every-rule.ts";
import { type ContractCopy, checkout, copyContracts } from "./contract-copy.ts";

const ORDERS = "proto/shop/order/v1/order_service.proto";
const EVENTS = "proto/shop/order/v1/order_event.proto";
const REASONS = "proto/shop/order/v1/order_error.proto";
const TIMEOUT = 120_000;

/** What buf says of a change, by file and line. */
interface Objection {
  readonly path: string;
  readonly start_line: number;
  readonly type: string;
  readonly message: string;
}

let copy: ContractCopy;
let before: string;

beforeAll(async () => {
  copy = copyContracts();
  before = join(copy.dir, "before.binpb");
  expect(await buildImage(copy.dir, before)).toMatchObject({ ok: true });
  // Each breaks another rule: the first half of ours, the second half of buf's own.
  copy.edit(ORDERS, /(rpc GetOrder[\s\S]*?timeout: \{seconds: )2\}/, "$11}");
  copy.edit(ORDERS, 'get: "/v1/orders/{order_id}"', 'get: "/v1/order/{order_id}"');
  copy.edit(ORDERS, /(rpc CancelOrder[\s\S]*?max_attempts: )2/, "$19");
  copy.edit(EVENTS, /(message OrderCancelled[\s\S]*?key: )"order_id"/, '$1"customer_id"');
  copy.edit(REASONS, /(ORDER_ERROR_TIMEOUT = 7 \[\(mesh.error.v1.code\) = )DEADLINE_EXCEEDED/, "$1ABORTED");
  copy.edit("proto/shop/order/v1/order.proto", /^ *string cancel_reason = 10;$/m, "");
  copy.edit("proto/shop/order/v1/order.proto", "string rejection_reason = 6", "bytes rejection_reason = 6");
  copy.edit("proto/shop/review/v1/review_service.proto", /^ {2}rpc GetReview\([\s\S]*?^ {2}\}$/m, "");
}, TIMEOUT);
afterAll(() => copy.remove());

/** The number of the first line of a file that holds this. */
function lineOf(path: string, text: RegExp): number {
  const lines = readFileSync(join(copy.dir, path), "utf8").split("\n");
  return lines.findIndex((line) => text.test(line)) + 1;
}

/** The number of the line on which an RPC of OrderService begins its policy. */
function policyLineOf(rpc: string): number {
  const lines = readFileSync(join(copy.dir, ORDERS), "utf8").split("\n");
  const begins = lines.findIndex((line) => line.includes(`rpc ${rpc}(`));
  return lines.findIndex((line, i) => i > begins && line.includes("(mesh.policy.v1.method)")) + 1;
}

test("buf breaking says what our rules and its own object to, and on which line", {
  timeout: TIMEOUT,
}, async () => {
  const { ok, output } = await buf(
    copy.dir,
    ...["breaking", "proto", "--exclude-imports", "--against", before, "--error-format", "json"],
  );
  expect(ok).toBe(false);
  const found = output
    .trim()
    .split("\n")
    .map((line): Objection => JSON.parse(line));
  expect(found.map(({ type }) => type).sort()).toEqual([
    "FIELD_NO_DELETE",
    "FIELD_SAME_TYPE",
    "MESH_ERROR_REASON_KEPT",
    "MESH_EVENT_KEY_STABLE",
    "MESH_ROUTE_STABLE",
    "MESH_TIMEOUT_NOT_SHORTENED",
    "RPC_NO_DELETE",
  ]);
  const lines = Object.fromEntries(found.map(({ type, path, start_line }) => [type, [path, start_line]]));
  expect(lines).toMatchObject({
    // The option, not the RPC.
    MESH_ROUTE_STABLE: [ORDERS, lineOf(ORDERS, /\/v1\/order\//)],
    MESH_TIMEOUT_NOT_SHORTENED: [ORDERS, policyLineOf("GetOrder")],
    MESH_ERROR_REASON_KEPT: [REASONS, lineOf(REASONS, /ORDER_ERROR_TIMEOUT = 7/)],
    MESH_EVENT_KEY_STABLE: [EVENTS, lineOf(EVENTS, /message OrderCancelled/) + 1],
  });
});

test("buf lint says it as annotations that GitHub shows", { timeout: TIMEOUT }, async () => {
  const { ok, output } = await buf(copy.dir, "lint", "--error-format", "github-actions");
  expect(ok).toBe(false);
  const line = policyLineOf("CancelOrder");
  const [annotation = ""] = output.split("\n").filter((each) => each.includes("at most 5 are made"));
  expect(annotation).toContain(`::error file=${ORDERS},line=${line},`);
  expect(annotation).toContain(
    "shop.order.v1.OrderService/CancelOrder: it asks for 9 attempts; at most 5 are made",
  );
});

test("buf knows every rule by its name", { timeout: TIMEOUT }, async () => {
  const [lint, breaking] = await Promise.all(
    ["lint", "breaking"].map((kind) =>
      buf(checkout, "config", `ls-${kind}-rules`, "--configured-only", "--module-path", "proto"),
    ),
  );
  const unknown = everyRule.filter(({ id, purpose, ...rule }) => {
    const lines = (("check" in rule ? lint : breaking)?.output ?? "")
      .split("\n")
      .map((line) => line.trimEnd());
    return !lines.some((line) => line.startsWith(`${id} `) && line.endsWith(` ${purpose}`));
  });
  expect(unknown.map(({ id }) => id)).toEqual([]);
});

test("the plugin starts by the Node of the packages, whatever the machine's is", () => {
  const [, node = "", file = ""] =
    /plugin: \[(.*), (.*)\]/.exec(readFileSync(join(checkout, "buf.yaml"), "utf8")) ?? [];
  expect(node).toBe("node_modules/.bin/node");
  const { stdout, status } = spawnSync(node, [file, "--protocol"], { cwd: checkout, encoding: "utf8" });
  expect({ stdout, status }).toEqual({ stdout: "1\n", status: 0 });
});

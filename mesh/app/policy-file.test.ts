import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { policies as readPolicies } from "../contract/policy.ts";
import { atEnd } from "../testing/at-end.ts";
import { recordingLog } from "../testing/log.ts";
import { toyService } from "../testing/toy-service.ts";
import { followPolicyFile } from "./policy-file.ts";

const service = toyService();
const ASK = service.method.ask;
const NAME = `${service.typeName}/Ask`;

/** A process that follows a file with this policy of Ask. */
function following(policy: object) {
  const folder = mkdtempSync(join(tmpdir(), "weft-policy-"));
  atEnd(async () => rmSync(folder, { recursive: true }));
  const file = join(folder, "policies.json");
  const write = (next: object, name = NAME) =>
    writeFileSync(file, JSON.stringify({ methods: { [name]: next } }));
  write(policy);
  const policies = readPolicies();
  const { log, lines } = recordingLog();
  let changes = 0;
  const begin = () =>
    followPolicyFile({ file, policies, services: [service], log, onChange: () => void changes++ });
  const said = () => lines.map(({ msg, error }) => [msg, error].filter(Boolean).join(": "));
  return { file, write, policies, begin, said, changes: () => changes };
}

/** As an operator has it read again. */
const hangUp = () => void process.emit("SIGHUP");

test("a file's policies hold from the start, and again after SIGHUP, until the process stops", async () => {
  const { write, policies, begin, changes } = following({ timeout: "0.5s" });
  const contractMs = policies.method(ASK).timeoutMs;
  const running = begin();
  expect([policies.method(ASK).timeoutMs, changes()]).toEqual([500, 1]);
  write({ timeout: "0.7s", retry: { maxAttempts: 1 } });
  expect(policies.method(ASK).timeoutMs).toBe(500);
  hangUp();
  expect([policies.method(ASK).timeoutMs, changes()]).toEqual([700, 2]);
  expect(policies.method(ASK).retry.maxAttempts).toBe(1);
  await running.stop();
  write({ timeout: "0.9s" });
  hangUp();
  expect([policies.method(ASK).timeoutMs, changes()]).toEqual([contractMs, 2]);
});

test.each([
  ["a method that does not exist", { timeout: "1s" }, `${service.typeName}/As`, "no such method"],
  ["a fact that is loosened", { criticality: "CRITICALITY_CRITICAL_PLUS" }, NAME, "lowered here, not raised"],
  ["a policy that cannot work", { timeout: "-1s" }, NAME, "longer than nothing"],
  ["a field that does not exist", { timeoutMs: 5 }, NAME, "PolicyOverrides"],
])("a process does not start with %s", (_, policy, name, text) => {
  const { write, policies, begin } = following({});
  write(policy, name);
  const contractMs = policies.method(ASK).timeoutMs;
  expect(begin).toThrow(text);
  expect(policies.method(ASK).timeoutMs).toBe(contractMs);
});

test("a file that cannot be used later is said, and what was in place stays", async () => {
  const { file, write, policies, begin, said, changes } = following({ timeout: "0.5s" });
  const running = begin();
  write({ criticality: "CRITICALITY_CRITICAL_PLUS" });
  hangUp();
  rmSync(file);
  hangUp();
  expect([policies.method(ASK).timeoutMs, changes()]).toEqual([500, 1]);
  const [read, loosened, missing] = said();
  expect(read).toBe("policies read");
  expect(loosened).toContain(`${NAME}: its criticality may be lowered here, not raised`);
  expect(missing).toContain("ENOENT");
  await running.stop();
});

test("without a file there is nothing to follow", async () => {
  const before = process.listenerCount("SIGHUP");
  const policies = readPolicies();
  const { log } = recordingLog();
  const options = { file: "", policies, services: [service], log, onChange: () => {} };
  const running = followPolicyFile(options);
  expect(process.listenerCount("SIGHUP")).toBe(before);
  await running.stop();
});

import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { keptSecrets } from "./secrets.ts";
import { tempDir } from "./temp-dir.ts";

test("each name has a secret of its own, the same every time, and a new name gets one too", () => {
  const file = join(tempDir(), "data/secrets.json");
  const first = keptSecrets(file, ["order", "payment"]);
  expect(first.order).toMatch(/^[0-9a-f]{48}$/);
  expect(first.order).not.toBe(first.payment);
  const second = keptSecrets(file, ["order", "payment", "review"]);
  expect(second).toEqual({ ...first, review: expect.stringMatching(/^[0-9a-f]{48}$/) });
  expect(keptSecrets(file, ["order"])).toEqual({ order: first.order });
});

test("only its owner can read the file", () => {
  const file = join(tempDir(), "secrets.json");
  keptSecrets(file, ["order"]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("a file that cannot be read is told, and not overwritten", () => {
  const file = join(tempDir(), "secrets.json");
  writeFileSync(file, "{");
  expect(() => keptSecrets(file, ["order"])).toThrow(/cannot read .*secrets\.json.*make reset/);
});

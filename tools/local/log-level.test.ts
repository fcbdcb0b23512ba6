import { expect, test } from "vitest";
import { deservesAttention } from "./log-level.ts";

test("warnings, errors and what is no log line deserve attention", () => {
  for (const line of [
    '{"level":40,"msg":"slow"}',
    '{"level":60}',
    '{"level":"error"}',
    "Error: at line 1",
    "{ oops",
  ]) {
    expect(deservesAttention(line), line).toBe(true);
  }
});

test("the everyday lines and empty ones do not", () => {
  for (const line of [
    '{"level":30,"msg":"listens"}',
    '{"level":20}',
    '{"level":"info"}',
    '{"level":"DEBUG"}',
    "",
    "  ",
  ]) {
    expect(deservesAttention(line), line).toBe(false);
  }
});

import { expect, test } from "vitest";
import { isLegal } from "./legal-field.ts";

test.each([
  [":path", "/a b?c=d"],
  ["x-a_1.b", ""],
  ["te", "trailers"],
  ["x", "a\tb \x80\xff"],
])("%j: %j", (name, value) => expect(isLegal(name, value)).toBe(true));

test.each([
  ["", "a"],
  [":", "a"],
  ["X-A", "a"],
  ["x a", "a"],
  ["x:a", "a"],
  ["x\n", "a"],
  ["x", " a"],
  ["x", "a\t"],
  ["x", "a\r\nb: c"],
  ["x", "a\0"],
  ["x", "a\x7f"],
])("not %j: %j", (name, value) => expect(isLegal(name, value)).toBe(false));

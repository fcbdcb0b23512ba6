import { expect, test } from "vitest";
import { STATIC_COUNT, STATIC_FIELDS, STATIC_NAMES } from "./static-table.ts";

test.each([
  [1, ":authority", ""],
  [2, ":method", "GET"],
  [7, ":scheme", "https"],
  [14, ":status", "500"],
  [16, "accept-encoding", "gzip, deflate"],
  [31, "content-type", ""],
  [61, "www-authenticate", ""],
])("the index %d is %s (RFC 7541, appendix A)", (index, name, value) => {
  expect(STATIC_COUNT).toBe(61);
  expect(STATIC_FIELDS[index - 1]).toEqual({ name, value });
});

test("a name is at its first index, and with a value at its own", () => {
  expect(STATIC_NAMES.size).toBe(52);
  expect(STATIC_NAMES.get(":status")?.index).toBe(8);
  expect(STATIC_NAMES.get(":status")?.indexByValue.get("404")).toBe(13);
  expect(STATIC_NAMES.get("via")).toEqual({ index: 60, indexByValue: new Map([["", 60]]) });
});

import { expect, test } from "vitest";
import { AppError } from "../../core/errors.ts";
import { cutPage, pageSize, readPageToken, writePageToken } from "./page.ts";

test.each([
  [0, 50],
  [1, 1],
  [100, 100],
  [101, 100],
  [1000, 100],
])("of %d asked, a page has %d", (asked, size) => {
  expect(pageSize(asked)).toBe(size);
});

test("a token brings its place back, whatever is in it", () => {
  const place = ["2026-01-01 12:00:00.000001+00", "ä,\"'%_\\", ""];
  expect(readPageToken(writePageToken(place), 3)).toEqual(place);
});

test("a token can stand in a URL as it is", () => {
  expect(writePageToken(["?>?>ÿÿÿ"])).toMatch(/^[\w-]+$/);
});

test("no token is the first page", () => {
  expect(readPageToken("", 1)).toBeUndefined();
});

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

test.each([
  ["no JSON", "page-2"],
  ["no list", encoded({ 0: "a" })],
  ["nothing", encoded(null)],
  ["fewer values", encoded([])],
  ["more values", encoded(["a", "b"])],
  ["a value that is no text", encoded([1])],
  ["a text that no database keeps", encoded(["a\0b"])],
])("refuses a token with %s", (_, token) => {
  try {
    readPageToken(token, 1);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ reason: "INVALID_REQUEST", violations: [{ field: "page_token" }] });
  }
});

const placeOf = (entry: string) => [entry];

test("a page with more behind it ends with a token of its last entry", () => {
  const [page, token] = cutPage(["a", "b", "c"], 2, placeOf);
  expect(page).toEqual(["a", "b"]);
  expect(readPageToken(token, 1)).toEqual(["b"]);
});

test("the last page has no token, full or not", () => {
  expect(cutPage(["a", "b"], 2, placeOf)).toEqual([["a", "b"], ""]);
  expect(cutPage(["a"], 2, placeOf)).toEqual([["a"], ""]);
  expect(cutPage([], 2, placeOf)).toEqual([[], ""]);
});

import { expect, test } from "vitest";
import { AppError } from "../core/errors.ts";
import { manualClock } from "../testing/clock.ts";
import { readJson, readJsonLines } from "./body.ts";
import { HttpRefusal } from "./http-refusal.ts";

const JSON_TYPE = { "content-type": "application/json" };
const LINES_TYPE = { "content-type": "application/x-ndjson" };

/** A body that comes in these parts. */
function post(parts: (string | Uint8Array)[], headers: Record<string, string>): Request {
  const body = new ReadableStream({
    start(controller) {
      for (const part of parts)
        controller.enqueue(typeof part === "string" ? new TextEncoder().encode(part) : part);
      controller.close();
    },
  });
  return new Request("http://x.invalid", { method: "POST", headers, body, duplex: "half" } as RequestInit);
}

const clock = manualClock();
const json = (request: Request, maxBytes = 100) => readJson(request, { maxBytes, withinMs: 1_000, clock });
const lines = (request: Request, max = 100) => Array.fromAsync(readJsonLines(request, max));

async function statusOf(reading: Promise<unknown>): Promise<number | string> {
  const error = await reading.then(
    () => "nothing went wrong",
    (thrown: unknown) => thrown,
  );
  if (error instanceof HttpRefusal) return error.status;
  return error instanceof AppError ? error.reason : String(error);
}

test("a body of JSON is read, in however many parts it comes", async () => {
  expect(await json(post(['{"a', '":1}'], JSON_TYPE))).toEqual({ a: 1 });
  const type = { "content-type": "Application/JSON; charset=UTF-8" };
  expect(await json(post(['"ü"'], type))).toBe("ü");
});

test("no body is none, whatever its type", async () => {
  expect(await json(post([], {}))).toBeUndefined();
  expect(await json(new Request("http://x.invalid"))).toBeUndefined();
});

test.each([
  ["no type", {}],
  ["a form", { "content-type": "application/x-www-form-urlencoded" }],
  ["another charset", { "content-type": "application/json; charset=latin1" }],
  ["a compressed one", { ...JSON_TYPE, "content-encoding": "gzip" }],
])("%s is not read", async (_, headers) => {
  expect(await statusOf(json(post(["{}"], headers)))).toBe(415);
});

test("a body that is too large is refused, as its header says or when it is", async () => {
  expect(await json(post(['"12345678"'], JSON_TYPE), 10)).toBe("12345678");
  expect(await statusOf(json(post(['"123456789"'], JSON_TYPE), 10))).toBe(413);
  expect(await statusOf(json(post(['"', "123456789", '"'], JSON_TYPE), 10))).toBe(413);
  expect(await statusOf(json(post([], { ...JSON_TYPE, "content-length": "11" }), 10))).toBe(413);
});

test("a body that does not come in time is refused, and its connection is not kept; one that comes leaves no timer", async () => {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("{")),
  });
  const init = { method: "POST", headers: JSON_TYPE, body, duplex: "half" } as RequestInit;
  const reading = json(new Request("http://x.invalid", init));
  await clock.whenSleeping(1);
  clock.advance(1_000);
  await expect(reading).rejects.toMatchObject({
    status: 408,
    error: { reason: "BODY_TOO_SLOW" },
    headers: { connection: "close" },
  });
  await json(post(["{}"], JSON_TYPE));
  await clock.whenSleeping(0);
});

test.each([["{"], ["nonsense"], [Uint8Array.of(0x22, 0xff, 0x22)]])("%s is no JSON", async (part) => {
  expect(await statusOf(json(post([part], JSON_TYPE)))).toBe("INVALID_REQUEST");
});

test("lines are values, however they are cut, the last with or without its end, empty ones left out", async () => {
  const expected = [
    [1, { a: 1 }],
    [3, { a: "ü" }],
    [4, 5],
  ];
  const text = '{"a":1}\n\r\n{"a":"ü"}\r\n5';
  expect(await lines(post([text], LINES_TYPE))).toEqual(expected);
  expect(await lines(post([`${text}\n`], LINES_TYPE))).toEqual(expected);
  const bytes = [...new TextEncoder().encode(text)].map((byte) => Uint8Array.of(byte));
  expect(await lines(post(bytes, { "content-type": "application/jsonl" }))).toEqual(expected);
});

test("no lines are no values", async () => {
  expect(await lines(post([], LINES_TYPE))).toEqual([]);
});

test("a line that is too large is refused, also before it ends; all together may be larger", async () => {
  expect(await lines(post(["123\n", "456\n", "789\n"], LINES_TYPE), 3)).toHaveLength(3);
  expect(await statusOf(lines(post(["1\n1234\n"], LINES_TYPE), 3))).toBe(413);
  expect(await statusOf(lines(post(["12", "34"], LINES_TYPE), 3))).toBe(413);
});

test("a line that is no JSON is known by its number", async () => {
  await expect(lines(post(["1\n{\n"], LINES_TYPE))).rejects.toThrow("line 2 is no JSON in UTF-8");
  expect(await statusOf(lines(post(["1"], JSON_TYPE)))).toBe(415);
});

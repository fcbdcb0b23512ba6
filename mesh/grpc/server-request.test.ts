import { expect, test } from "vitest";
import { type CallOfRequest, ServerRequest, whole } from "./server-request.ts";

function requested() {
  const made: string[] = [];
  const header = new Headers({ a: "1" });
  const { signal } = new AbortController();
  const call = {
    method: { desc: { parent: {} }, url: "http://service.invalid/S/M" },
    get header() {
      made.push("header");
      return header;
    },
    get signal() {
      made.push("signal");
      return signal;
    },
    context: undefined,
  } as unknown as CallOfRequest;
  return { made, header, signal, request: new ServerRequest(call, {} as never, false, "message") };
}

test("headers and signal are made when somebody looks at them", () => {
  const { made, header, signal, request } = requested();
  expect(whole(request)).toBe(request);
  expect(made).toEqual([]);
  expect([request.header, request.signal]).toEqual([header, signal]);
  expect(made).toEqual(["header", "signal"]);
});

test("a copy has them too, also a copy of the copy", () => {
  const { header, signal, request } = requested();
  const copy = whole({ ...request, message: "another" });
  expect(copy).toMatchObject({ message: "another", url: request.url, header, signal });
  expect(whole({ ...copy })).toMatchObject({ header, signal });
});

test("what a copy brings of its own stays", () => {
  const { header, request } = requested();
  const own = new AbortController().signal;
  const copy = whole({ ...request, signal: own });
  expect(copy.signal).toBe(own);
  expect(copy).toHaveProperty("header", header);
});

test("a request of another kind is left alone", () => {
  const other = { message: "m" };
  expect(whole(other)).toBe(other);
  expect(Object.keys(other)).toEqual(["message"]);
});

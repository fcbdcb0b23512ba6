import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { AppError, isUnavailable, messageOf } from "./errors.ts";

const withCode = (code: unknown, cause?: unknown) =>
  Object.assign(new Error("failed", cause === undefined ? undefined : { cause }), { code });

test("a refusal holds what it was made of, and nothing where nothing was given", () => {
  const cause = new Error("below");
  const init = { code: Code.NotFound, reason: "GONE", domain: "d" };
  expect(new AppError("gone", { ...init, metadata: { id: "1" }, cause })).toMatchObject({
    ...init,
    name: "AppError",
    message: "gone",
    metadata: { id: "1" },
    violations: [],
    cause,
  });
  expect(new AppError("gone", init)).toMatchObject({ metadata: {}, violations: [] });
  expect(Object.hasOwn(new AppError("gone", init), "cause")).toBe(false);
});

test.each([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECT_TIMEOUT",
  "08006",
  "53300",
  "57P01",
  "57P03",
])("%s says that a part is away", (code) => {
  expect(isUnavailable(withCode(code))).toBe(true);
  expect(isUnavailable(new Error("above", { cause: withCode(code) }))).toBe(true);
});

test.each(["23505", "40001", "42P01", "57014", "ENOENT", "EACCES", "", 14, undefined])(
  "%s says that the work itself is wrong",
  (code) => {
    expect(isUnavailable(withCode(code))).toBe(false);
  },
);

test("what is no error is not unavailable, and a circle of causes ends", () => {
  expect(isUnavailable("ECONNREFUSED")).toBe(false);
  expect(isUnavailable({ code: "ECONNREFUSED" })).toBe(false);
  const circle = withCode("x");
  circle.cause = circle;
  expect(isUnavailable(circle)).toBe(false);
});

test("anything that was thrown has a text", () => {
  expect(messageOf(new TypeError("wrong"))).toBe("wrong");
  expect(messageOf("text")).toBe("text");
  expect(messageOf(undefined)).toBe("undefined");
});

import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { AppError } from "../core/errors.ts";
import { codeName, codeOf, errorType, OK } from "./status.ts";

const codes = Object.values(Code).filter((code) => typeof code === "number");

test("every code has the name that gRPC gives it", () => {
  expect(codeName(OK)).toBe("OK");
  for (const code of codes) {
    const words = (Code[code] ?? "").replaceAll(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
    expect(codeName(code)).toBe(words === "CANCELED" ? "CANCELLED" : words);
  }
  expect(codeName(99)).toBe("UNKNOWN");
});

describe("the code of what was thrown", () => {
  test.each([
    ["a ConnectError", new ConnectError("no", Code.NotFound), Code.NotFound],
    ["an AppError", new AppError("no", { code: Code.Aborted, reason: "R", domain: "d" }), Code.Aborted],
    ["an abort", new DOMException("left", "AbortError"), Code.Canceled],
    ["any other error", new TypeError("no"), Code.Unknown],
    ["no error at all", "text", Code.Unknown],
    ["nothing", undefined, Code.Unknown],
  ])("%s", (_, thrown, code) => {
    expect(codeOf(thrown)).toBe(code);
  });
});

describe("error.type", () => {
  test("is absent when nothing went wrong", () => {
    expect(errorType("client", OK)).toBeUndefined();
    expect(errorType("server", OK)).toBeUndefined();
  });

  test("of a client is the name of every other code", () => {
    for (const code of codes) expect(errorType("client", code)).toBe(codeName(code));
  });

  test("of a server is there for its own faults only", () => {
    const faults = codes.filter((code) => errorType("server", code) !== undefined).map(codeName);
    expect(faults.sort()).toEqual([
      "DATA_LOSS",
      "DEADLINE_EXCEEDED",
      "INTERNAL",
      "UNAVAILABLE",
      "UNIMPLEMENTED",
      "UNKNOWN",
    ]);
  });

  test("names an error that has no code", () => {
    expect(errorType("client", Code.Unknown, new TypeError("no"))).toBe("TypeError");
    expect(errorType("client", Code.Unknown, "text")).toBe("_OTHER");
    expect(errorType("client", Code.Internal, new ConnectError("no", Code.Internal))).toBe("INTERNAL");
  });
});

import { expect, test } from "vitest";
import { joinRepeated } from "./repeated-headers.ts";

const joined = (rawHeaders: string[], headers: Record<string, string>) => {
  joinRepeated({ rawHeaders, headers } as never);
  return headers;
};

test("what came twice is seen twice", () => {
  const raw = ["Authorization", "Bearer a", "Host", "x", "authorization", "Bearer b"];
  expect(joined(raw, { authorization: "Bearer a", host: "x" })).toEqual({
    authorization: "Bearer a, Bearer b",
    host: "x",
  });
});

test("what came once stays as it is, and so does a value that looks like a name", () => {
  const raw = ["Authorization", "Bearer a", "X-A", "authorization", "X-B", "authorization"];
  const headers = { authorization: "Bearer a", "x-a": "authorization", "x-b": "authorization" };
  expect(joined(raw, { ...headers })).toEqual(headers);
});

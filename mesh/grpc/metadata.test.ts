import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { appendFields, findValue, toFields, toHeaders, toLegalFields } from "./metadata.ts";

const pairs = (fields: ReturnType<typeof toFields>) => fields.map(({ name, value }) => [name, value]);

test("what the protocols write themselves is no metadata", () => {
  const headers = new Headers({
    te: "gzip",
    host: "a",
    "user-agent": "me",
    "content-type": "text/plain",
    "content-length": "7",
    connection: "close",
    "keep-alive": "1",
    "transfer-encoding": "chunked",
    upgrade: "h2c",
    "grpc-timeout": "1S",
    "grpc-encoding": "gzip",
    "grpc-accept-encoding": "gzip",
    "grpc-status": "0",
    "grpc-message": "a",
    "grpc-status-details-bin": "AAAA",
    "connect-timeout-ms": "1000",
    "connect-protocol-version": "1",
    "x-own": "b",
  });
  expect(toFields(headers)).toEqual([{ name: "x-own", value: "b" }]);
  expect(toFields([[":path", "/a"]])).toEqual([]);
});

test("headers of gRFC A6 are the mesh's to write", () => {
  const headers = new Headers({ "grpc-previous-rpc-attempts": "2", "grpc-retry-pushback-ms": "100" });
  expect(pairs(toFields(headers))).toEqual([...headers]);
});

test("values of one name are one field, cookies that a server sets one each", () => {
  const headers = new Headers([
    ["x-own", "a"],
    ["X-Own", "b"],
    ["set-cookie", "c"],
    ["set-cookie", "d"],
  ]);
  expect(pairs(toFields(headers))).toEqual([
    ["set-cookie", "c"],
    ["set-cookie", "d"],
    ["x-own", "a, b"],
  ]);
});

test("binary values pass as the base64 that they are", () => {
  expect(toFields(new Headers({ "x-own-bin": "AAEC/w" }))).toEqual([{ name: "x-own-bin", value: "AAEC/w" }]);
});

test.each([
  ["an object", { "X-Own": " a\t", "x-list": "b" }],
  [
    "pairs",
    [
      ["X-Own", " a\t"],
      ["x-list", "b"],
    ] as [string, string][],
  ],
  [
    "a map",
    new Map([
      ["X-Own", " a\t"],
      ["x-list", "b"],
    ]) as unknown as Headers,
  ],
])("%s is taken like Headers", (_, init) => {
  expect(pairs(toFields(init))).toEqual([
    ["x-own", "a"],
    ["x-list", "b"],
  ]);
});

test("what is another in each call is kept out of the connection's table", () => {
  expect(toFields({ traceparent: "00-1", authorization: "a" })).toEqual([
    { name: "traceparent", value: "00-1", indexing: "literal" },
    { name: "authorization", value: "a" },
  ]);
});

test.each([
  ["a name of HTTP that gRPC has not", { "x!": "a" }, /"x!".*0-9, a-z/],
  ["an empty name", { "": "a" }, /""/],
  ["a line's end in a value", { a: "b\r\nc: d" }, /"a".*characters/],
  ["a control character", new Headers({ a: "b\x01c" }), /"a".*characters/],
  ["a character that is no byte", { a: "☺" }, /"a".*characters/],
])("%s cannot be sent", (_, metadata, message) => {
  const send = () => toFields(metadata);
  expect(send).toThrow(ConnectError);
  expect(send).toThrow(
    expect.objectContaining({ code: Code.Internal, rawMessage: expect.stringMatching(message) }),
  );
});

test("what cannot be sent is left out of the metadata of an error", () => {
  expect(pairs(toLegalFields(new Headers({ a: "b\x01c", "x!": "a", d: "e" })))).toEqual([["d", "e"]]);
});

test("what a peer may send in HTTP may be sent back", () => {
  const headers = toHeaders([{ name: "a", value: "gr\xf6\xdfer\tb" }]);
  expect(pairs(toFields(headers))).toEqual([["a", "gr\xf6\xdfer\tb"]]);
});

test("fields become headers from the one that is told, without pseudo-headers", () => {
  const fields = [
    { name: "a", value: "1" },
    { name: ":status", value: "200" },
    { name: "b", value: "2" },
    { name: "b", value: "3" },
    { name: "cookie", value: "c" },
    { name: "cookie", value: "d" },
  ];
  expect([...toHeaders(fields)]).toEqual([
    ["a", "1"],
    ["b", "2, 3"],
    ["cookie", "c; d"],
  ]);
  expect([...toHeaders(fields, 1)]).toEqual([
    ["b", "2, 3"],
    ["cookie", "c; d"],
  ]);
});

test("what no header may be is left out", () => {
  const fields = [
    { name: "a b", value: "1" },
    { name: "c", value: "d\ne" },
    { name: "", value: "2" },
    { name: "f", value: "☺" },
    { name: "g", value: "3" },
  ];
  expect([...toHeaders(fields)]).toEqual([["g", "3"]]);
});

test("fields are added to headers that are there", () => {
  const headers = new Headers({ a: "1" });
  appendFields(headers, [{ name: "a", value: "2" }]);
  expect(headers.get("a")).toBe("1, 2");
});

test("the first field of a name is found", () => {
  const fields = [
    { name: "a", value: "1" },
    { name: "a", value: "2" },
  ];
  expect(findValue(fields, "a")).toBe("1");
  expect(findValue(fields, "b")).toBeUndefined();
});

import { expect, test } from "vitest";
import { REQUEST } from "./heard-stream.ts";
import { MessageHead, trailersProblem } from "./message-head.ts";

const fieldsOf = (fields: readonly string[]) =>
  fields.map((field) => {
    const at = field.indexOf(": ", 1);
    return { name: field.slice(0, at), value: field.slice(at + 2) };
  });
const request = (...fields: readonly string[]) => new MessageHead().readRequest(fieldsOf(fields));
const response = (...fields: readonly string[]) => new MessageHead().readResponse(fieldsOf(fields));

test("a request is read, and what was read before is forgotten", () => {
  const head = new MessageHead();
  head.readRequest(fieldsOf([...REQUEST, "content-length: 12"]));
  expect(head).toMatchObject({ method: "POST", path: "/a", authority: "localhost", contentLength: 12 });
  const other = [":method: GET", ":scheme: https", ":path: /"];
  expect(head.readRequest(fieldsOf(other))).toBeUndefined();
  expect(head).toMatchObject({ method: "GET", scheme: "https", path: "/", authority: "", contentLength: -1 });
});

test("CONNECT has neither scheme nor path", () => {
  expect(request(":method: CONNECT", ":authority: a:1")).toBeUndefined();
  expect(request(":method: CONNECT", ":path: /")).toBe("CONNECT with a :path");
});

test.each([
  ["no :method", [":scheme: http", ":path: /"]],
  ["no :scheme", [":method: GET", ":path: /"]],
  ["no :path", [":method: GET", ":scheme: http"]],
  ["an empty :path", [":method: GET", ":scheme: http", ":path: "]],
  ["two paths", [...REQUEST, ":path: /b"]],
  [":status in a request", [...REQUEST, ":status: 200"]],
  [":protocol is none of HTTP/2's", [...REQUEST, ":protocol: x"]],
  [":path below the headers", [":method: GET", ":scheme: http", "a: b", ":path: /"]],
  ["connection is of another HTTP", [...REQUEST, "connection: close"]],
  ["transfer-encoding is of another HTTP", [...REQUEST, "transfer-encoding: chunked"]],
  ["te may be trailers only", [...REQUEST, "te: gzip"]],
  ["a content-length that is no number", [...REQUEST, "content-length: -1"]],
  ["two lengths", [...REQUEST, "content-length: 1", "content-length: 2"]],
])("a request with %s is malformed", (problem, fields) => {
  expect(request(...fields)).toBe(problem);
});

test.each([
  ["no :status", ["a: b"]],
  ["a status that is none", [":status: 99"]],
  ["two statuses", [":status: 200", ":status: 200"]],
  ["a request's headers in a response", [":status: 200", ":path: /"]],
])("a response with %s is malformed", (problem, fields) => {
  expect(response(...fields)).toBe(problem);
});

test("what is well is well", () => {
  expect(request(...REQUEST, "te: trailers", "content-length: 1", "content-length: 1")).toBeUndefined();
  expect(response(":status: 200", "a: b")).toBeUndefined();
  expect(trailersProblem(fieldsOf(["a: b"]))).toBeUndefined();
});

test("trailers have no pseudo-headers, and nothing that cannot be", () => {
  expect(trailersProblem(fieldsOf([":status: 200"]))).toBe(":status in trailers");
  expect(trailersProblem([{ name: "A", value: "", isIllegal: true }])).toBe("a header that cannot be");
});

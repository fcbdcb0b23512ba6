import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  findTrailerError,
  codeFromHttpStatus as ofConnect,
  setTrailerStatus,
} from "@connectrpc/connect/protocol-grpc";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { toHeaders } from "./metadata.ts";
import { codeFromErrorCode, codeFromHttpStatus, fromTrailers, hasStatus, toTrailers } from "./status.ts";

const CODES = Array.from({ length: 16 }, (_, i) => (i + 1) as Code);
const details = [
  { desc: ErrorInfoSchema, value: { reason: "OUT_OF_STOCK", domain: "shop", metadata: { sku: "größer" } } },
  { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 5 } } },
];
const fields = (record: Record<string, string>): HeaderField[] =>
  Object.entries(record).map(([name, value]) => ({ name, value }));
const statusBytes = (code: number, message: string) =>
  base64Encode(
    toBinary(StatusSchema, create(StatusSchema, { code, message, details: [anyInfo] })),
    "std_raw",
  );
const anyInfo = create(AnySchema, {
  typeUrl: "type.googleapis.com/google.rpc.ErrorInfo",
  value: toBinary(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "R" })),
});

/** What of an error a caller sees. */
const seen = (error: ConnectError | undefined) =>
  error && {
    code: error.code,
    message: error.rawMessage,
    info: error.findDetails(ErrorInfoSchema),
    retry: error.findDetails(RetryInfoSchema),
  };

test("a call that went well has one list of trailers, which nobody can change", () => {
  const trailers = toTrailers(undefined);
  expect(trailers).toEqual([{ name: "grpc-status", value: "0" }]);
  expect(toTrailers(undefined)).toBe(trailers);
  expect(Object.isFrozen(trailers) && Object.isFrozen(trailers[0])).toBe(true);
  expect(fromTrailers(trailers)).toBeUndefined();
});

test("an error is its code, its message and its metadata", () => {
  const error = new ConnectError("größer", Code.NotFound, { "x-own": "a", "grpc-status": "0" });
  expect(toTrailers(error)).toEqual([
    { name: "grpc-status", value: "5" },
    { name: "grpc-message", value: "gr%C3%B6%C3%9Fer", indexing: "literal" },
    { name: "x-own", value: "a" },
  ]);
});

test("details are in base64 without padding, beside the same code and message", () => {
  const trailers = toTrailers(new ConnectError("none", Code.Aborted, undefined, details));
  const value = trailers.find(({ name }) => name === "grpc-status-details-bin")?.value;
  expect(value).toMatch(/^[A-Za-z0-9+/]+$/);
  expect(seen(fromTrailers(fields({ "grpc-status": "10", "grpc-status-details-bin": value ?? "" })))).toEqual(
    seen(new ConnectError("none", Code.Aborted, undefined, details)),
  );
});

test("an error without a text has none on the wire", () => {
  expect(toTrailers(new ConnectError("", Code.Internal))).toEqual([{ name: "grpc-status", value: "13" }]);
});

test("what an error from the wire brought along is not passed on, but for its details", () => {
  const arrived = fromTrailers([
    ...toTrailers(new ConnectError("none", Code.NotFound, undefined, details)),
    { name: "x-of-another-call", value: "a" },
  ]);
  expect(arrived?.metadata.get("x-of-another-call")).toBe("a");
  const passedOn = toTrailers(arrived);
  expect(passedOn.map(({ name }) => name)).toEqual([
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
  ]);
  expect(seen(fromTrailers(passedOn))).toEqual(seen(arrived));
});

test.each([0, -1, 17, 1.5, Number.NaN])("an error with the code %d is UNKNOWN, and never OK", (code) => {
  expect(toTrailers(new ConnectError("a", code as Code))[0]).toEqual({ name: "grpc-status", value: "2" });
});

test("an error whose detail cannot be written is sent without details", () => {
  const broken = { desc: RetryInfoSchema, value: { retryDelay: { nanos: 2 ** 40 } } };
  const trailers = toTrailers(new ConnectError("a", Code.Internal, undefined, [broken]));
  expect(trailers.map(({ name }) => name)).toEqual(["grpc-status", "grpc-message"]);
});

test("half a surrogate pair in a message does not keep an error from its caller", () => {
  const trailers = toTrailers(new ConnectError("a\ud800", Code.Internal, undefined, details));
  const error = fromTrailers(trailers);
  expect(error).toMatchObject({ code: Code.Internal, rawMessage: "a\ufffd" });
  expect(error?.findDetails(ErrorInfoSchema)).toHaveLength(1);
});

test("other trailers become the metadata of the error", () => {
  const error = fromTrailers([
    ...fields({ ":status": "200", "content-type": "application/grpc", "grpc-status": "14", a: "1" }),
    { name: "a", value: "2" },
    ...fields({ "grpc-message": "b", "grpc-retry-pushback-ms": "100" }),
  ]);
  expect([...(error?.metadata ?? [])]).toEqual([
    ["a", "1, 2"],
    ["content-type", "application/grpc"],
    ["grpc-retry-pushback-ms", "100"],
  ]);
});

test.each([
  ["", "", Code.Unknown, 'the answer has the grpc-status ""'],
  ["00", "", Code.Unknown, 'the answer has the grpc-status "00"'],
  ["05", "a", Code.Unknown, 'the answer has the grpc-status "05": a'],
  ["17", "a", Code.Unknown, 'the answer has the grpc-status "17": a'],
  ["-1", "", Code.Unknown, 'the answer has the grpc-status "-1"'],
  ["NotFound", "", Code.Unknown, 'the answer has the grpc-status "NotFound"'],
  ["5 ", "", Code.Unknown, 'the answer has the grpc-status "5 "'],
])("grpc-status %j with the message %j is code %d", (status, message, code, text) => {
  expect(fromTrailers(fields({ "grpc-status": status, "grpc-message": message }))).toMatchObject({
    code,
    rawMessage: text,
  });
});

test("no status is no success", () => {
  expect(fromTrailers([])).toMatchObject({
    code: Code.Internal,
    rawMessage: "the answer ended without a grpc-status",
  });
  const error = fromTrailers(fields({ "grpc-message": "a%20b", "x-own": "c" }));
  expect(error).toMatchObject({
    code: Code.Internal,
    rawMessage: "the answer ended without a grpc-status: a b",
  });
  expect(error?.metadata.get("x-own")).toBe("c");
});

test("two statuses that differ are no success either", () => {
  const two = [...fields({ "grpc-status": "0" }), ...fields({ "grpc-status": "13" })];
  expect(fromTrailers(two)).toMatchObject({ code: Code.Unknown });
});

test("whether fields have a status is told of any status", () => {
  expect(hasStatus([])).toBe(false);
  expect(hasStatus(fields({ "grpc-message": "a" }))).toBe(false);
  expect(hasStatus(fields({ a: "b", "grpc-status": "x" }))).toBe(true);
});

test.each([
  ["no base64", "%%%"],
  ["no Status", base64Encode(new Uint8Array([0x0a, 0xff]), "std_raw")],
  ["of another code", statusBytes(7, "other")],
])("details that are %s are left out", (_, value) => {
  const error = fromTrailers(
    fields({ "grpc-status": "5", "grpc-message": "none", "grpc-status-details-bin": value }),
  );
  expect(error).toMatchObject({ code: Code.NotFound, rawMessage: "none", details: [] });
});

test.each([
  ["padded", (text: string) => text.padEnd(Math.ceil(text.length / 4) * 4, "=")],
  ["not padded", (text: string) => text],
])("details that are %s are read", (_, pad) => {
  const error = fromTrailers(
    fields({ "grpc-status": "5", "grpc-status-details-bin": pad(statusBytes(5, "in the details")) }),
  );
  expect(error?.rawMessage).toBe("in the details");
  expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: "R" }]);
});

const anyError = fc
  .record({
    message: fc.string({ unit: "binary", maxLength: 30 }),
    code: fc.constantFrom(...CODES),
    reasons: fc.array(fc.string(), { maxLength: 3 }),
    metadata: fc.dictionary(fc.stringMatching(/^x-[a-z0-9-]{0,8}$/), fc.stringMatching(/^[!-~]{0,9}$/)),
  })
  .map(
    ({ message, code, reasons, metadata }) =>
      new ConnectError(
        message,
        code,
        metadata,
        reasons.map((reason) => ({ desc: ErrorInfoSchema, value: { reason } })),
      ),
  );

test("what Connect's servers send is read as Connect's clients read it", () => {
  fc.assert(
    fc.property(anyError, (error) => {
      const sent = setTrailerStatus(new Headers(), error);
      const read = fromTrailers([...sent].map(([name, value]) => ({ name, value })));
      expect(seen(read)).toEqual(seen(findTrailerError(sent)));
      expect(seen(read)).toEqual(seen(error));
    }),
    { numRuns: 1_000 },
  );
});

test("what we send is read by Connect's clients as it was, metadata too", () => {
  fc.assert(
    fc.property(anyError, (error) => {
      const sent = toTrailers(error);
      expect(seen(findTrailerError(toHeaders(sent)))).toEqual(seen(error));
      const ofConnect = setTrailerStatus(new Headers(), error);
      const own = (headers: Headers) => [...headers].filter(([name]) => !/^(grpc-|date$)/.test(name));
      expect(own(toHeaders(sent))).toEqual(own(ofConnect));
    }),
    { numRuns: 1_000 },
  );
});

test("a status of HTTP is the code that Connect takes it for", () => {
  for (let status = 100; status < 1_000; status++) expect(codeFromHttpStatus(status)).toBe(ofConnect(status));
});

test.each([
  [0x0, Code.Internal],
  [0x1, Code.Internal],
  [0x2, Code.Internal],
  [0x3, Code.Internal],
  [0x4, Code.Internal],
  [0x5, Code.Internal],
  [0x6, Code.Internal],
  [0x7, Code.Unavailable],
  [0x8, Code.Canceled],
  [0x9, Code.Internal],
  [0xa, Code.Internal],
  [0xb, Code.ResourceExhausted],
  [0xc, Code.PermissionDenied],
  [0xd, Code.Internal],
  [0xffffffff, Code.Internal],
])("a stream reset with %d is code %d", (errorCode, code) => {
  expect(codeFromErrorCode(errorCode)).toBe(code);
});

import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { answerProblem } from "./answer-head.ts";

const fields = (status: string, type?: string, grpcStatus?: string) => [
  { name: ":status", value: status },
  ...(type === undefined ? [] : [{ name: "content-type", value: type }]),
  ...(grpcStatus === undefined ? [] : [{ name: "grpc-status", value: grpcStatus }]),
];

test.each(["application/grpc", "application/grpc+proto"])("%s is an answer in proto", (type) => {
  expect(answerProblem(fields("200", type), "proto", false)).toBeUndefined();
});

test("Trailers-Only needs no content type", () => {
  expect(answerProblem(fields("200", undefined, "5"), "proto", true)).toBeUndefined();
  expect(answerProblem(fields("200", undefined, "5"), "proto", false)?.code).toBe(Code.Unknown);
});

test.each([
  ["another codec", "application/grpc+json", Code.Internal],
  ["no gRPC", "text/html", Code.Unknown],
  ["gRPC-Web", "application/grpc-web+proto", Code.Unknown],
  ["of no type", undefined, Code.Unknown],
])("an answer that is %s is an error", (_, type, code) => {
  expect(answerProblem(fields("200", type), "proto", false)?.code).toBe(code);
});

test.each([
  ["401", Code.Unauthenticated],
  ["404", Code.Unimplemented],
  ["503", Code.Unavailable],
  ["418", Code.Unknown],
])("HTTP %s has gRPC's code for it", (status, code) => {
  const problem = answerProblem(fields(status, "text/html"), "proto", true);
  expect([problem?.code, problem?.rawMessage]).toEqual([code, `HTTP ${status}`]);
});

test("a status of gRPC's beside one of HTTP's is believed, unless it says that all is well", () => {
  expect(answerProblem(fields("503", "application/grpc", "8"), "proto", true)?.code).toBe(
    Code.ResourceExhausted,
  );
  expect(answerProblem(fields("503", "application/grpc", "0"), "proto", true)?.code).toBe(Code.Unavailable);
});

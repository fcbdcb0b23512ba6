import { parseContentType as ofConnect } from "@connectrpc/connect/protocol-grpc";
import { expect, test } from "vitest";
import { parseContentType } from "./content-type.ts";

test.each([
  ["application/grpc", "proto"],
  ["application/grpc+proto", "proto"],
  ["application/grpc+json", "json"],
  ["application/grpc+json;charset=utf-8", "json"],
  ["application/grpc+json ; charset=utf-8", "json"],
  ["application/grpc;a=b", "proto"],
  ["Application/gRPC+Proto", "proto"],
])("%s is %s", (value, format) => {
  expect(parseContentType(value)).toBe(format);
});

test.each([
  "",
  "application/grpc+",
  "application/grpc+foo",
  "application/grpc-web",
  "application/grpc-web+proto",
  "application/grpc-web-text",
  "application/grpc-web+json",
  "application/grpcx",
  "application/json",
  "application/proto",
  "application/connect+proto",
  "xapplication/grpc",
  ";application/grpc",
  "application/grpc, application/grpc",
])("%j is none of ours", (value) => {
  expect(parseContentType(value)).toBeUndefined();
  expect(ofConnect(value)).toBeUndefined();
});

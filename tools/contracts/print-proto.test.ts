import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileRegistry, createRegistry, equals, fromBinary, type Registry } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, onTestFinished, test } from "vitest";
import { buf } from "./buf.ts";
import { printProto } from "./print-proto.ts";

/** Compiles one file and gives its descriptor, with a registry of it and its imports. */
async function compile(text: string): Promise<{ file: FileDescriptorProto; registry: Registry }> {
  const dir = mkdtempSync(join(tmpdir(), "weft-print-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "buf.yaml"), "version: v2\n");
  writeFileSync(join(dir, "sample.proto"), text);
  const result = await buf(
    dir,
    "build",
    "--as-file-descriptor-set",
    "--exclude-source-info",
    "--output",
    "sample.binpb",
  );
  if (!result.ok) throw new Error(result.output);
  const set = fromBinary(FileDescriptorSetSchema, readFileSync(join(dir, "sample.binpb")));
  const file = set.file.find(({ name }) => name === "sample.proto");
  if (file === undefined) throw new Error("buf left the file out");
  return { file, registry: createFileRegistry(set) };
}

function sameDescriptor(a: FileDescriptorProto, b: FileDescriptorProto, registry: Registry): boolean {
  return equals(FileDescriptorProtoSchema, { ...a, name: b.name }, b, {
    registry,
    extensions: true,
    unknown: true,
  });
}

test("the printed validation rules compile to the descriptor that the runtime enforces", async () => {
  const registry = createRegistry(file_buf_validate_validate);
  const { file } = await compile(printProto(file_buf_validate_validate.proto, registry));
  expect(sameDescriptor(file, file_buf_validate_validate.proto, registry)).toBe(true);
});

test("a file with everything that can be printed survives", async () => {
  const { file, registry } = await compile(sample);
  const again = await compile(printProto(file, registry));
  expect(sameDescriptor(again.file, file, registry)).toBe(true);
});

test.each([
  ["syntax proto3", 'syntax = "proto3"; package sample;'],
  ["services", 'syntax = "proto2"; package sample; message A {} service S { rpc R(A) returns (A); }'],
  ["groups", 'syntax = "proto2"; package sample; message A { optional group B = 1 {} }'],
  ["map fields", 'syntax = "proto2"; package sample; message A { map<string, string> b = 1; }'],
  ["default values", 'syntax = "proto2"; package sample; message A { optional int32 b = 1 [default = 2]; }'],
  ["JSON names", 'syntax = "proto2"; package sample; message A { optional int32 b = 1 [json_name = "c"]; }'],
])("%s are refused, not left out", async (what, text) => {
  const { file, registry } = await compile(text);
  expect(() => printProto(file, registry)).toThrow(`Cannot print ${what}`);
});

test("a custom option is refused if the registry does not know it", async () => {
  const { file } = await compile(sample);
  expect(() => printProto(file, createRegistry())).toThrow("Cannot print option 50001 of google.protobuf");
});

const sample = `
syntax = "proto2";
package sample.text;
import "google/protobuf/descriptor.proto";
option java_package = "a \\"quoted\\" package";
option deprecated = true;
option optimize_for = CODE_SIZE;
extend google.protobuf.FieldOptions { optional Note note = 50001; }
extend google.protobuf.MessageOptions { optional Note about = 50001; }
message Note { repeated string lines = 1; optional Note inner = 2; }
message Outer {
  option (about) = { lines: "one" lines: "two\\nlines" inner { lines: "\\"three\\"" } };
  reserved 5, 7 to 9, 1000 to 1999;
  reserved "gone", "past";
  extensions 100 to 199, 2000 to max;
  message Inner { optional Kind kind = 1; }
  enum Kind { option allow_alias = true; reserved -5 to -3, 9, 100 to max; reserved "OLD"; NONE = 0; NIL = 0; MINUS = -1; }
  required Inner inner = 1;
  oneof choice { string text = 2 [deprecated = true, (note) = { lines: "x" }]; bytes raw = 3; }
  repeated sint64 numbers = 4 [packed = true];
  optional google.protobuf.FileOptions options = 6;
  extend Outer { optional Outer nested = 100; }
}
`;

import { readFileSync } from "node:fs";
import { createRegistry } from "@bufbuild/protobuf";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { printProto } from "./print-proto.ts";

const installed = new URL("../../node_modules/", import.meta.url);

/** Where each folder's files come from: path in third_party/<folder> -> path in the npm package. */
const copies = [
  {
    folder: "googleapis",
    origin: "google-proto-files",
    files: {
      "google/api/annotations.proto": "google/api/annotations.proto",
      "google/api/http.proto": "google/api/http.proto",
      "google/rpc/code.proto": "google/rpc/code.proto",
      "google/rpc/error_details.proto": "google/rpc/error_details.proto",
      "google/rpc/status.proto": "google/rpc/status.proto",
      "google/type/money.proto": "google/type/money.proto",
    },
  },
  {
    folder: "grpc",
    origin: "grpc-health-check",
    // The package leaves the folder "grpc" out, but the path of a .proto file is part of its contract: reflection names it.
    files: { "grpc/health/v1/health.proto": "proto/health/v1/health.proto" },
  },
  {
    folder: "grpc",
    origin: "@grpc/reflection",
    files: {
      "grpc/reflection/v1/reflection.proto": "build/proto/grpc/reflection/v1/reflection.proto",
      "grpc/reflection/v1alpha/reflection.proto": "build/proto/grpc/reflection/v1alpha/reflection.proto",
    },
  },
];

/** Every file that third_party/ holds, as path -> text, made from the npm packages that are installed. */
export function thirdPartyFiles(): Map<string, string> {
  const result = new Map<string, string>();
  for (const { folder, origin, files } of copies) {
    result.set(`${folder}/LICENSE`, read(origin, "LICENSE"));
    for (const [path, source] of Object.entries(files)) {
      const header = [license(origin), `// Copied from ${source} of ${nameAndVersion(origin)}.`];
      result.set(`${folder}/${path}`, [...header, "", read(origin, source)].join("\n"));
    }
  }
  result.set(`protovalidate/${file_buf_validate_validate.proto.name}`, validateProto());
  return result;
}

/**
 * The runtime that enforces the rules ships their descriptor but no .proto file, so the file is printed from it: what
 * the contracts compile against cannot differ from what is enforced.
 */
function validateProto(): string {
  const origin = "@bufbuild/protovalidate";
  return [
    license(origin),
    `// Printed from the descriptor in ${nameAndVersion(origin)}, which carries no comments.`,
    "",
    printProto(file_buf_validate_validate.proto, createRegistry(file_buf_validate_validate)),
  ].join("\n");
}

function license(origin: string): string {
  return `// SPDX-License-Identifier: ${manifest(origin).license}`;
}

function nameAndVersion(origin: string): string {
  return `${origin}@${manifest(origin).version}`;
}

function manifest(origin: string): { version: string; license: string } {
  return JSON.parse(read(origin, "package.json"));
}

function read(origin: string, path: string): string {
  return readFileSync(new URL(`${origin}/${path}`, installed), "utf8");
}

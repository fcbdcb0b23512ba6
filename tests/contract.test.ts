import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type DescMethod,
  equals,
  type FileRegistry,
  fromBinary,
  hasOption,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import * as rules from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { code } from "../gen/mesh/error/v1/error_pb.ts";
import { contract, stream, subscriptions } from "../gen/mesh/event/v1/event_pb.ts";
import { buf } from "../tools/contracts/buf.ts";
import { buildImage } from "../tools/contracts/contract-images.ts";
import { ownFiles } from "../tools/contracts/shop-services.ts";
import { drift } from "../tools/contracts/vendor-protos.ts";
import { type ContractCopy, checkout, copyContracts } from "./contract-copy.ts";

const BUF_IMAGE_EXTENSION = 8042;

let files: DescFile[];

beforeAll(async () => {
  files = await ownFiles();
});

test("the vendored files are those of the installed packages", () => {
  expect(drift(join(checkout, "third_party"))).toEqual([]);
});

test("code and documents are what the contracts generate; if not, run `buf generate`", {
  timeout: 120_000,
}, async () => {
  const copy = temporaryCopy();
  expect(await buf(copy.dir, "generate")).toEqual({ ok: true, output: "" });
  for (const folder of ["gen", "contracts/documents"]) {
    const [fresh, committed] = [read(join(copy.dir, folder)), read(join(checkout, folder))];
    const differing = [...new Set([...fresh.keys(), ...committed.keys()])].filter(
      (path) => fresh.get(path) !== committed.get(path),
    );
    expect(differing).toEqual([]);
    expect(committed.size).toBeGreaterThan(1);
  }
});

test("every request of the shop that has fields has a validation rule, its own or one of a part", () => {
  const requests = new Set(
    methods()
      .map(({ input }) => input)
      .filter(isOfShop),
  );
  expect(requests.size).toBeGreaterThan(0);
  const unguarded = [...requests]
    .filter(({ fields }) => fields.length > 0)
    .filter(
      (message) =>
        !hasRule(message) && !message.fields.some((field) => field.message && hasRule(field.message)),
    );
  expect(unguarded.map(String)).toEqual([]);
});

test("an image of the contracts keeps every custom option", async () => {
  const copy = temporaryCopy();
  const path = join(copy.dir, "contracts.binpb");
  expect(await buildImage(copy.dir, path)).toMatchObject({ ok: true });
  const image = fromBinary(FileDescriptorSetSchema, readFileSync(path));
  const registry = createFileRegistry(image);
  const differing = files.filter((file) => !sameAsIn(registry, file));
  expect(differing.map(String)).toEqual([]);

  const imaged = [...registry.files];
  const messages = imaged.flatMap((file) => file.messages);
  expect(imaged.some((file) => hasOption(file, stream))).toBe(true);
  expect(messages.some((message) => hasOption(message, contract))).toBe(true);
  expect(messages.some(hasRule)).toBe(true);
  expect(imaged.flatMap((file) => file.services).some((service) => hasOption(service, subscriptions))).toBe(
    true,
  );
  expect(
    imaged
      .flatMap((file) => file.enums.flatMap(({ values }) => values))
      .some((value) => hasOption(value, code)),
  ).toBe(true);
});

function temporaryCopy(): ContractCopy {
  const copy = copyContracts();
  onTestFinished(() => copy.remove());
  return copy;
}

function read(dir: string): Map<string, string> {
  const paths = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [path.slice(dir.length + 1), readFileSync(path, "utf8")]));
}

function methods(): DescMethod[] {
  return files.flatMap((file) => file.services).flatMap((service) => service.methods);
}

function isOfShop(message: DescMessage): boolean {
  return message.typeName.startsWith("shop.");
}

function hasRule(message: DescMessage): boolean {
  return (
    hasOption(message, rules.message) ||
    message.fields.some((field) => hasOption(field, rules.field)) ||
    message.oneofs.some((oneof) => hasOption(oneof, rules.oneof))
  );
}

/** Compares all but what buf itself notes in an image: whether a file is imported, and from which module. */
function sameAsIn(registry: FileRegistry, { proto }: DescFile): boolean {
  const other = registry.getFile(proto.name)?.proto;
  if (other === undefined) return false;
  const imaged = { ...other, $unknown: other.$unknown?.filter(({ no }) => no !== BUF_IMAGE_EXTENSION) ?? [] };
  return equals(FileDescriptorProtoSchema, imaged, proto, { registry, extensions: true, unknown: true });
}

import { readFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Contracts, contractsOf } from "../plugin/contracts.ts";

/** The contracts in an image that buf has built. */
export function readImage(path: string): Contracts {
  return contractsOf(fromBinary(FileDescriptorSetSchema, readFileSync(path)).file, (file) => !isImport(file));
}

// What buf notes of a file in an image: an extension of FileDescriptorProto, whose first field says that it is there
// only because others import it.
const BUF_NOTES = 8042;
const IS_IMPORT = "0801";

function isImport({ $unknown = [] }: FileDescriptorProto): boolean {
  const notes = $unknown.find(({ no }) => no === BUF_NOTES);
  // The bytes of a message begin with their length.
  return notes !== undefined && Buffer.from(notes.data).subarray(1).toString("hex").startsWith(IS_IMPORT);
}

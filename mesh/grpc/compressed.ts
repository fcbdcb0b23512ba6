import { Code } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { findCompression, identity } from "./compression.ts";
import { findValue } from "./metadata.ts";

/** True if these headers name a compression, so that messages may be compressed. */
export function mayBeCompressed(fields: readonly HeaderField[]): boolean {
  const name = findValue(fields, "grpc-encoding");
  return name !== undefined && name !== identity.name;
}

/** The message that was compressed as its headers say, of at most `maxBytes`. Rejects with what is wrong with it. */
export async function decompressed(
  bytes: Uint8Array,
  fields: readonly HeaderField[],
  maxBytes: number,
): Promise<Uint8Array> {
  return findCompression(findValue(fields, "grpc-encoding"), Code.Internal).decompress(bytes, maxBytes);
}

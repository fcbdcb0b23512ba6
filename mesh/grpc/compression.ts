import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { inTurn } from "./in-turn.ts";

/** A way to make messages smaller, by its name in `grpc-encoding`. Each message is compressed by itself. */
export interface Compression {
  readonly name: string;
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  /**
   * Rejects with RESOURCE_EXHAUSTED once the message would be longer than `maxBytes`, without making the rest of it, and
   * with INTERNAL if it cannot be read.
   */
  decompress(bytes: Uint8Array, maxBytes: number): Promise<Uint8Array>;
}

/** Messages as they are. */
export const identity: Compression = {
  name: "identity",
  compress: (bytes) => Promise.resolve(bytes),
  decompress: (bytes, maxBytes) =>
    bytes.length > maxBytes ? Promise.reject(tooLong(maxBytes)) : Promise.resolve(bytes),
};

const zip = promisify<Uint8Array, Uint8Array>(zlib.gzip);
const unzip = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.gunzip);
// As many as there are threads for it: each holds up to the largest message until it finds that it is too large, and more at
// a time would be no faster.
const oneOfFew = inTurn(4);

/** RFC 1952, outside of the event loop. */
export const gzip: Compression = {
  name: "gzip",
  compress: (bytes) => zip(bytes),
  async decompress(bytes, maxBytes) {
    // Some peers leave an empty message empty, and flag it all the same.
    if (bytes.length === 0) return bytes;
    try {
      // Zlib takes no limit of 0: with 1 the one byte too many is found below.
      const message = await oneOfFew(() => unzip(bytes, { maxOutputLength: Math.max(1, maxBytes) }));
      if (message.length > maxBytes) throw tooLong(maxBytes);
      return message;
    } catch (error) {
      if (error instanceof ConnectError) throw error;
      if ((error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE") throw tooLong(maxBytes);
      throw new ConnectError("a message is no gzip", Code.Internal, undefined, undefined, error);
    }
  },
};

function tooLong(maxBytes: number): ConnectError {
  return new ConnectError(
    `a message is longer than the ${maxBytes} bytes that are allowed, once it is decompressed`,
    Code.ResourceExhausted,
  );
}

/** What the mesh understands, the preferred one first. */
export const COMPRESSIONS: readonly Compression[] = [gzip];

/** `grpc-accept-encoding` for a peer that may use any of these. */
export function acceptEncoding(available: readonly Compression[] = COMPRESSIONS): string {
  return available.map(({ name }) => name).join(",");
}

/**
 * The compression that a peer's `grpc-encoding` names; identity without one. Throws `code` and what there is for a name that
 * is unknown: UNIMPLEMENTED of a request, INTERNAL of an answer (gRPC's compression.md).
 */
export function findCompression(
  encoding: string | undefined,
  code: typeof Code.Unimplemented | typeof Code.Internal,
  available: readonly Compression[] = COMPRESSIONS,
): Compression {
  if (encoding === undefined || encoding === identity.name) return identity;
  const found = available.find(({ name }) => name === encoding);
  if (found) return found;
  throw new ConnectError(`unknown grpc-encoding "${encoding}"; there is ${acceptEncoding(available)}`, code);
}

/**
 * How to compress for a peer with this `grpc-accept-encoding`: the first of its own that there is, else identity. A peer
 * that names none is answered in what it used itself.
 */
export function chooseCompression(
  accepted: string | undefined,
  used: Compression,
  available: readonly Compression[] = COMPRESSIONS,
): Compression {
  if (!accepted) return used;
  for (const part of accepted.split(",")) {
    const found = available.find(({ name }) => name === part.trim());
    if (found) return found;
  }
  return identity;
}

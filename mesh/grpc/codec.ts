import {
  type DescMessage,
  fromJsonString,
  type MessageShape,
  type Registry,
  ScalarType,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { messageOf } from "../core/errors.ts";
import type { Format } from "./content-type.ts";
import { messageReader } from "./message-reader.ts";
import { messageWriter } from "./message-writer.ts";

/** Writes and reads the messages of one type. */
export interface Codec<T extends DescMessage> {
  /** Throws INTERNAL if the message cannot be written. */
  serialize(message: MessageShape<T>): Uint8Array;
  /**
   * Throws INTERNAL if the bytes are no such message, INVALID_ARGUMENT if they are JSON. The message keeps none of the bytes
   * but those of fields that its type has not.
   */
  parse(bytes: Uint8Array): MessageShape<T>;
}

type Codecs = WeakMap<DescMessage, unknown>;

const binary: Codecs = new WeakMap();
const json: Codecs = new WeakMap();
const jsonWith = new WeakMap<Registry, Codecs>();

/**
 * The codec of a type in a format, the same one each time. JSON ignores fields that it does not know, as Connect does, and
 * finds what is in an `Any` in the registry.
 */
export function codecOf<T extends DescMessage>(schema: T, format: Format, registry?: Registry): Codec<T> {
  const codecs = format === "proto" ? binary : registry ? jsonCodecsWith(registry) : json;
  let codec = codecs.get(schema) as Codec<T> | undefined;
  if (!codec) {
    codec = format === "proto" ? binaryCodec(schema) : jsonCodec(schema, registry);
    codecs.set(schema, codec);
  }
  return codec;
}

function jsonCodecsWith(registry: Registry): Codecs {
  let codecs = jsonWith.get(registry);
  if (!codecs) {
    codecs = new WeakMap();
    jsonWith.set(registry, codecs);
  }
  return codecs;
}

function binaryCodec<T extends DescMessage>(schema: T): Codec<T> {
  const keepsBytes = hasBytes(schema);
  const write = messageWriter(schema);
  const read = messageReader(schema);
  return {
    serialize(message) {
      try {
        return write(message);
      } catch (error) {
        throw failure("serialize", error);
      }
    },
    parse(bytes) {
      try {
        return read(keepsBytes ? owned(bytes) : bytes);
      } catch (error) {
        throw failure("parse", error);
      }
    },
  };
}

function failure(act: "parse" | "serialize", error: unknown): ConnectError {
  return new ConnectError(`${act} binary: ${messageOf(error)}`, Code.Internal, undefined, undefined, error);
}

/**
 * Bytes that nothing else is in. A field of bytes is a view of what it was read from: of a socket's chunk that would keep
 * all of it, and show a `Buffer` where the type says `Uint8Array`.
 */
function owned(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes);
}

/** True if a message of this type may have a field of bytes, however deep. */
function hasBytes(schema: DescMessage, seen: Set<DescMessage> = new Set()): boolean {
  if (seen.has(schema)) return false;
  seen.add(schema);
  return schema.fields.some(
    ({ scalar, message }) =>
      scalar === ScalarType.BYTES || (message !== undefined && hasBytes(message, seen)),
  );
}

function jsonCodec<T extends DescMessage>(schema: T, registry: Registry | undefined): Codec<T> {
  const options = { ignoreUnknownFields: true, ...(registry && { registry }) };
  return {
    serialize(message) {
      try {
        return Buffer.from(toJsonString(schema, message, options));
      } catch (error) {
        throw ConnectError.from(error, Code.Internal);
      }
    },
    parse(bytes) {
      try {
        return fromJsonString(schema, decoder.decode(bytes), options);
      } catch (error) {
        throw ConnectError.from(error, Code.InvalidArgument);
      }
    },
  };
}

const decoder = new TextDecoder();

import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageShape,
  protoInt64,
  ScalarType,
} from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { isPlain } from "./plain-type.ts";
import { WireCursor } from "./wire-cursor.ts";
import { tagOf, wireTypeOf } from "./wire-type.ts";

/** A message as an object of its fields, or what stands in a field. */
// biome-ignore lint/suspicious/noExplicitAny: what it is, the descriptor says.
type Value = any;
type ReadField = (message: Value, cursor: WireCursor) => void;
type ReadFields = (cursor: WireCursor, end: number) => Value;

/** Deeper ones are for the library, which has a limit. */
const MAX_DEPTH = 50;

const readersOf = new WeakMap<DescMessage, ReadFields>();
const cursor = new WireCursor();

/**
 * Reads messages of a type, as `fromBinary` does: the same messages, the same errors. What is as writers usually write it is
 * read here, in one pass and without an object for the reading; all else, also what is wrong, is left to `fromBinary`.
 */
export function messageReader<T extends DescMessage>(schema: T): (bytes: Uint8Array) => MessageShape<T> {
  if (!isPlain(schema)) return (bytes) => fromBinary(schema, bytes);
  const read = fieldsReader(schema);
  return (bytes) => {
    cursor.begin(bytes);
    try {
      return read(cursor, bytes.length);
    } catch {
      return fromBinary(schema, bytes);
    } finally {
      cursor.end();
    }
  };
}

function fieldsReader(schema: DescMessage): ReadFields {
  const known = readersOf.get(schema);
  if (known) return known;
  const readers = new ReadersByTag();
  const read: ReadFields = (cursor, end) => {
    const message = create(schema);
    while (cursor.at < end) {
      // A field that the type has not is kept by the library.
      const readField = readers.get(cursor.tag()) ?? cursor.giveUp();
      readField(message, cursor);
    }
    if (cursor.at !== end) cursor.giveUp();
    return message;
  };
  readersOf.set(schema, read);
  for (const field of schema.fields) {
    if (field.fieldKind !== "list") {
      readers.set(tagOf(field), singularReader(field));
      continue;
    }
    const readItem = valueReader(field);
    const { localName } = field;
    readers.set(tagOf(field), (message, cursor) => message[localName].push(readItem(cursor)));
    if (wireTypeOf(field) !== WireType.LengthDelimited) {
      readers.set(tagOf(field, WireType.LengthDelimited), packedReader(localName, readItem));
    }
  }
  return read;
}

/** Those with a tag of one byte, which most have, are found without a search. */
class ReadersByTag {
  readonly #few: (ReadField | undefined)[] = new Array(128).fill(undefined);
  readonly #more = new Map<number, ReadField>();

  get(tag: number): ReadField | undefined {
    return tag < 128 ? this.#few[tag] : this.#more.get(tag);
  }

  set(tag: number, read: ReadField): void {
    if (tag < 128) this.#few[tag] = read;
    else this.#more.set(tag, read);
  }
}

function packedReader(localName: string, readItem: (cursor: WireCursor) => Value): ReadField {
  return (message, cursor) => {
    const items = message[localName];
    const end = cursor.endOfDelimited();
    while (cursor.at < end) items.push(readItem(cursor));
    if (cursor.at !== end) cursor.giveUp();
  };
}

function singularReader(field: DescField): ReadField {
  const { localName } = field;
  const readValue = valueReader(field);
  const oneof = field.oneof?.localName;
  if (oneof !== undefined) {
    return (message, cursor) => {
      // The second of two messages is merged into the first.
      if (message[oneof].case === localName) cursor.giveUp();
      message[oneof] = { case: localName, value: readValue(cursor) };
    };
  }
  if (field.message) {
    return (message, cursor) => {
      if (message[localName] !== undefined) cursor.giveUp();
      message[localName] = readValue(cursor);
    };
  }
  return (message, cursor) => {
    message[localName] = readValue(cursor);
  };
}

function valueReader(field: DescField): (cursor: WireCursor) => Value {
  if (field.message) {
    const read = fieldsReader(field.message);
    return (cursor) => {
      if (++cursor.depth > MAX_DEPTH) cursor.giveUp();
      const message = read(cursor, cursor.endOfDelimited());
      cursor.depth--;
      return message;
    };
  }
  const read = SCALARS[field.scalar ?? ScalarType.INT32];
  if (field.scalar === ScalarType.STRING) {
    const isStrict = "utf8Validation" in field && field.utf8Validation;
    return (cursor) => cursor.string(isStrict);
  }
  const isText = "longAsString" in field && field.longAsString;
  return isText ? (cursor) => String(read(cursor)) : read;
}

const SCALARS: Readonly<Record<ScalarType, (cursor: WireCursor) => Value>> = {
  [ScalarType.DOUBLE]: (cursor) => cursor.view.getFloat64(cursor.skip(8), true),
  [ScalarType.FLOAT]: (cursor) => cursor.view.getFloat32(cursor.skip(4), true),
  [ScalarType.INT64]: (cursor) => {
    cursor.varint64();
    return protoInt64.dec(cursor.low, cursor.high);
  },
  [ScalarType.UINT64]: (cursor) => {
    cursor.varint64();
    return protoInt64.uDec(cursor.low, cursor.high);
  },
  [ScalarType.INT32]: (cursor) => cursor.varint32() | 0,
  [ScalarType.FIXED64]: (cursor) => protoInt64.uDec(...cursor.bits64()),
  [ScalarType.FIXED32]: (cursor) => cursor.view.getUint32(cursor.skip(4), true),
  [ScalarType.BOOL]: (cursor) => {
    cursor.varint64();
    return (cursor.low | cursor.high) !== 0;
  },
  [ScalarType.STRING]: (cursor) => cursor.string(true),
  [ScalarType.BYTES]: (cursor) => {
    const end = cursor.endOfDelimited();
    return cursor.bytes.subarray(cursor.skip(end - cursor.at), end);
  },
  [ScalarType.UINT32]: (cursor) => cursor.varint32(),
  [ScalarType.SFIXED32]: (cursor) => cursor.view.getInt32(cursor.skip(4), true),
  [ScalarType.SFIXED64]: (cursor) => protoInt64.dec(...cursor.bits64()),
  [ScalarType.SINT32]: (cursor) => {
    const zigzag = cursor.varint32();
    return (zigzag >>> 1) ^ -(zigzag & 1);
  },
  [ScalarType.SINT64]: (cursor) => {
    cursor.varint64();
    const { low, high } = cursor;
    const sign = -(low & 1);
    return protoInt64.dec(((low >>> 1) | ((high & 1) << 31)) ^ sign, (high >>> 1) ^ sign);
  },
};

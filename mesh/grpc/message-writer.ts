import {
  type DescField,
  type DescMessage,
  type MessageShape,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { isPlain } from "./plain-type.ts";
import { tagOf } from "./wire-type.ts";

/** A message as an object of its fields, or what stands in a field. */
// biome-ignore lint/suspicious/noExplicitAny: what it is, the descriptor says.
type Value = any;
type Write = (writer: BinaryWriter, value: Value) => void;

/** What wrote a larger message is not kept for the next: its buffer is up to four times as large. */
const MAX_KEPT_BYTES = 16_384;

const writers = new WeakMap<DescMessage, Write>();
/** Undefined while it is in use: what a message's own code writes in the middle of it needs another. */
let free: BinaryWriter | undefined;

/**
 * Writes messages of a type, as `toBinary` does: the same bytes, the same errors. All messages are written in one buffer, and
 * only what was written is copied: for a small message `toBinary` takes most of its time to make a buffer of its own.
 */
export function messageWriter<T extends DescMessage>(schema: T): (message: MessageShape<T>) => Uint8Array {
  if (!isPlain(schema)) return (message) => toBinary(schema, message);
  const write = fieldsWriter(schema);
  return (message) => {
    const writer = free ?? new BinaryWriter();
    free = undefined;
    try {
      write(writer, message);
    } catch {
      // It says what is wrong.
      return toBinary(schema, message);
    }
    const bytes = writer.finish();
    if (bytes.length <= MAX_KEPT_BYTES) free = writer;
    return bytes;
  };
}

function fieldsWriter(schema: DescMessage): Write {
  const known = writers.get(schema);
  if (known) return known;
  const { typeName } = schema;
  const fields: Write[] = [];
  const write: Write = (writer, message) => {
    if (message.$typeName !== typeName) throw new TypeError(`${message.$typeName} is no ${typeName}`);
    for (let i = 0; i < fields.length; i++) (fields[i] as Write)(writer, message);
    const { $unknown } = message;
    if ($unknown !== undefined)
      for (const { no, wireType, data } of $unknown) writer.tag(no, wireType).raw(data);
  };
  writers.set(schema, write);
  for (const field of schema.fields.toSorted((a, b) => a.number - b.number)) {
    fields.push(fieldWriter(field));
  }
  return write;
}

function fieldWriter(field: DescField): Write {
  const { localName } = field;
  if (field.fieldKind === "list") return listWriter(field);
  const write = tagged(field);
  const oneof = field.oneof?.localName;
  if (oneof !== undefined) {
    return (writer, message) => {
      if (message[oneof].case === localName) write(writer, message[oneof].value);
    };
  }
  if (field.presence === FeatureSet_FieldPresence.IMPLICIT) {
    const isZero = zeroTest(field);
    return (writer, message) => {
      const value = message[localName];
      if (!isZero(value)) write(writer, value);
    };
  }
  return (writer, message) => {
    const value = message[localName];
    // A default is a property of the prototype.
    if (value !== undefined && Object.hasOwn(message, localName)) write(writer, value);
  };
}

function listWriter(field: DescField & { fieldKind: "list" }): Write {
  const { localName } = field;
  if (!field.packed) {
    const write = tagged(field);
    return (writer, message) => {
      const items = message[localName];
      for (let i = 0; i < items.length; i++) write(writer, items[i]);
    };
  }
  const tag = tagOf(field, WireType.LengthDelimited);
  const write = scalarWriter(field);
  return (writer, message) => {
    const items = message[localName];
    if (items.length === 0) return;
    writer.uint32(tag).fork();
    for (let i = 0; i < items.length; i++) write(writer, items[i]);
    writer.join();
  };
}

/** Writes one value with what stands before it. */
function tagged(field: DescField): Write {
  const tag = tagOf(field);
  if (field.message) {
    const write = fieldsWriter(field.message);
    return (writer, message) => {
      writer.uint32(tag).fork();
      write(writer, message);
      writer.join();
    };
  }
  const write = scalarWriter(field);
  return (writer, value) => {
    writer.uint32(tag);
    write(writer, value);
  };
}

const SCALARS: Readonly<Record<ScalarType, Write>> = {
  [ScalarType.DOUBLE]: (writer, value) => writer.double(value),
  [ScalarType.FLOAT]: (writer, value) => writer.float(value),
  [ScalarType.INT64]: (writer, value) => writer.int64(value),
  [ScalarType.UINT64]: (writer, value) => writer.uint64(value),
  [ScalarType.INT32]: (writer, value) => writer.int32(value),
  [ScalarType.FIXED64]: (writer, value) => writer.fixed64(value),
  [ScalarType.FIXED32]: (writer, value) => writer.fixed32(value),
  [ScalarType.BOOL]: (writer, value) => writer.bool(value),
  [ScalarType.STRING]: (writer, value) => writer.string(value),
  [ScalarType.BYTES]: (writer, value) => writer.bytes(value),
  [ScalarType.UINT32]: (writer, value) => writer.uint32(value),
  [ScalarType.SFIXED32]: (writer, value) => writer.sfixed32(value),
  [ScalarType.SFIXED64]: (writer, value) => writer.sfixed64(value),
  [ScalarType.SINT32]: (writer, value) => writer.sint32(value),
  [ScalarType.SINT64]: (writer, value) => writer.sint64(value),
};

/** An enum is an int32 on the wire. */
function scalarWriter({ scalar = ScalarType.INT32 }: DescField): Write {
  return SCALARS[scalar];
}

/** Whether a field without presence is not written. */
function zeroTest(field: DescField): (value: Value) => boolean {
  const zero = field.enum?.values[0]?.number;
  if (zero !== undefined) return (value) => value === zero;
  switch (field.scalar) {
    case ScalarType.BOOL:
      return (value) => value === false;
    case ScalarType.STRING:
      return (value) => value === "";
    case ScalarType.BYTES:
      return (value) => value instanceof Uint8Array && value.byteLength === 0;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      // And not -0, which is written.
      return (value) => Object.is(value, 0);
    default:
      // biome-ignore lint/suspicious/noDoubleEquals: 0n, and the text of one that is kept as text.
      return (value) => value == 0;
  }
}

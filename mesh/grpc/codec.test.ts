import { create, createRegistry, type DescMessage, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import {
  AnySchema,
  anyPack,
  DurationSchema,
  EmptySchema,
  FileDescriptorSetSchema,
  ListValueSchema,
  StringValueSchema,
  StructSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { createMethodSerializationLookup } from "@connectrpc/connect/protocol";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { GetProductRequestSchema, ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { codecOf } from "./codec.ts";

const info = create(ErrorInfoSchema, { reason: "OUT_OF_STOCK", metadata: { a: "größer" } });
const LIMITS = { readMaxBytes: 1e6, writeMaxBytes: 1e6 };

/** The bytes in the middle of a chunk, as they come from a socket. */
function inChunk(bytes: Uint8Array): { chunk: Buffer; view: Buffer } {
  const chunk = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("after")]);
  return { chunk, view: chunk.subarray(6, 6 + bytes.length) };
}

test.each(["proto", "json"] as const)("a message in %s is read as it was", (format) => {
  const codec = codecOf(ErrorInfoSchema, format);
  expect(codec.parse(inChunk(codec.serialize(info)).view)).toEqual(info);
  expect(codec.parse(codec.serialize(create(ErrorInfoSchema)))).toEqual(create(ErrorInfoSchema));
});

test("each format is protobuf's own", () => {
  expect(codecOf(ErrorInfoSchema, "proto").serialize(info)).toEqual(toBinary(ErrorInfoSchema, info));
  const json = Buffer.from(codecOf(ErrorInfoSchema, "json").serialize(info)).toString();
  expect(JSON.parse(json)).toEqual(toJson(ErrorInfoSchema, info));
});

test("there is one codec for a type, a format and a registry", () => {
  const registry = createRegistry(ErrorInfoSchema);
  const codecs = (["proto", "json"] as const).flatMap((format) => [
    codecOf(ErrorInfoSchema, format),
    codecOf(DurationSchema, format),
  ]);
  codecs.push(codecOf(ErrorInfoSchema, "json", registry));
  codecs.push(codecOf(ErrorInfoSchema, "json", createRegistry()));
  expect(new Set(codecs).size).toBe(6);
  expect(codecOf(ErrorInfoSchema, "proto")).toBe(codecs[0]);
  expect(codecOf(ErrorInfoSchema, "proto", registry)).toBe(codecs[0]);
  expect(codecOf(ErrorInfoSchema, "json", registry)).toBe(codecs[4]);
});

test("JSON ignores what it does not know, and finds in a registry what is in an Any", () => {
  const text = Buffer.from('{"reason":"A","isNew":true}');
  expect(codecOf(ErrorInfoSchema, "json").parse(text)).toMatchObject({ reason: "A" });
  const any = anyPack(ErrorInfoSchema, info);
  const codec = codecOf(AnySchema, "json", createRegistry(ErrorInfoSchema));
  expect(codec.parse(codec.serialize(any))).toEqual(any);
  expect(() => codecOf(AnySchema, "json").serialize(any)).toThrow(ConnectError);
});

test("an error has the code and the text that Connect gives it", () => {
  const connect = createMethodSerializationLookup(
    ProductService.method.getProduct,
    undefined,
    undefined,
    LIMITS,
  );
  const bad = { ...create(GetProductRequestSchema), minRatingVersion: "x" as unknown as number };
  const cut = new Uint8Array([0x0a, 0x7f]);
  const seen = (act: () => unknown) => {
    try {
      act();
    } catch (error) {
      const { code, rawMessage, cause } = error as ConnectError;
      return { isConnects: error instanceof ConnectError, code, rawMessage, hasCause: cause !== undefined };
    }
    return undefined;
  };
  for (const format of ["proto", "json"] as const) {
    const ours = codecOf(GetProductRequestSchema, format);
    const theirs = connect.getI(format === "proto");
    const pairs: [() => unknown, () => unknown, Code][] = [
      [
        () => ours.parse(cut),
        () => theirs.parse(cut),
        format === "proto" ? Code.Internal : Code.InvalidArgument,
      ],
      [() => ours.serialize(bad), () => theirs.serialize(bad), Code.Internal],
    ];
    for (const [own, connects, code] of pairs) {
      expect(seen(own)).toEqual({ ...seen(connects), hasCause: true });
      expect(seen(own)).toMatchObject({ isConnects: true, code });
    }
  }
});

test("a field of bytes keeps nothing of the chunk that it came in", () => {
  const any = create(AnySchema, { typeUrl: "a/b", value: new Uint8Array([1, 2, 3]) });
  const { chunk, view } = inChunk(toBinary(AnySchema, any));
  const read = codecOf(AnySchema, "proto").parse(view);
  chunk.fill(0);
  expect(read).toEqual(any);
  expect(read.value.constructor).toBe(Uint8Array);
  expect(read.value.buffer.byteLength).toBe(view.length);
});

test("a message that has its memory for itself is not copied", () => {
  const bytes = toBinary(AnySchema, create(AnySchema, { value: new Uint8Array(5_000) }));
  const alone = Buffer.allocUnsafeSlow(bytes.length);
  alone.set(bytes);
  const { value } = codecOf(AnySchema, "proto").parse(alone);
  expect(value.buffer).toBe(alone.buffer);
  expect(value.constructor).toBe(Uint8Array);
});

test.each<[string, DescMessage, boolean]>([
  ["Any", AnySchema, true],
  ["FileDescriptorSet, deep within", FileDescriptorSetSchema, true],
  ["Duration", DurationSchema, false],
  ["StringValue", StringValueSchema, false],
  ["Struct, which is within itself", StructSchema, false],
  ["ListValue, which is too", ListValueSchema, false],
])("only a type that has bytes is copied before it is read: %s", (_, schema, isCopied) => {
  // A field that no type has is kept as a view of what was read.
  const { chunk, view } = inChunk(new Uint8Array([0xfa, 0x3f, 1, 7]));
  const [unknown] = codecOf(schema, "proto").parse(view).$unknown ?? [];
  expect(unknown?.data.buffer === chunk.buffer).toBe(!isCopied);
});

test("fields that a type has not pass through", () => {
  const empty = codecOf(EmptySchema, "proto");
  const passed = empty.serialize(empty.parse(toBinary(ErrorInfoSchema, info)));
  expect(fromBinary(ErrorInfoSchema, passed)).toEqual(info);
});

import {
  create,
  createFileRegistry,
  type DescField,
  type DescMessage,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import {
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import fc from "fast-check";

const SCALARS = Object.entries(Type).filter(
  (entry): entry is [string, Type] =>
    typeof entry[1] === "number" && entry[1] !== Type.GROUP && entry[1] !== Type.MESSAGE,
);
const [ONEOF, PLAIN, OPTIONAL, PACKED, EXPANDED, CHOICE] = [0, 1, 20, 40, 60, 2_050];

/** Fields of each scalar type from a number on, and of the message itself. */
function fields(first: number, prefix: string, more: object, types = SCALARS) {
  const all = [...types, ["MESSAGE", Type.MESSAGE] as const];
  return all.map(([name, type], i) => ({
    name: `${prefix}_${name.toLowerCase()}`,
    number: first + i,
    type,
    ...(type === Type.MESSAGE && { typeName: ".test.every.Every" }),
    ...(type === Type.ENUM && { typeName: ".test.every.Kind" }),
    ...more,
  }));
}

const canBePacked = SCALARS.filter(([, type]) => type !== Type.STRING && type !== Type.BYTES);
const optional = fields(OPTIONAL, "optional", { label: Label.OPTIONAL, proto3Optional: true });

const file = create(FileDescriptorProtoSchema, {
  name: "test/every.proto",
  package: "test.every",
  syntax: "proto3",
  enumType: [
    {
      name: "Kind",
      value: [
        { name: "NONE", number: 0 },
        { name: "SOME", number: 1 },
      ],
    },
  ],
  messageType: [
    {
      name: "Every",
      field: [
        ...fields(PLAIN, "plain", { label: Label.OPTIONAL }),
        ...optional.map((field, i) => ({ ...field, oneofIndex: 1 + i })),
        ...fields(
          PACKED,
          "packed",
          { label: Label.REPEATED, options: create(FieldOptionsSchema, { packed: true }) },
          canBePacked,
        ).filter(({ type }) => type !== Type.MESSAGE),
        ...fields(EXPANDED, "expanded", {
          label: Label.REPEATED,
          options: create(FieldOptionsSchema, { packed: false }),
        }).map((field) =>
          canBePacked.some(([, type]) => type === field.type) ? field : { ...field, options: undefined },
        ),
        ...fields(CHOICE, "choice", { label: Label.OPTIONAL, oneofIndex: ONEOF }),
      ],
      oneofDecl: [{ name: "choice" }, ...optional.map(({ name }) => ({ name: `_${name}` }))],
    },
  ],
});

/** A type with a field of each kind but maps, which holds itself. */
export const everyField = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] })).getMessage(
  "test.every.Every",
) as DescMessage;

const INT32 = fc.oneof(fc.constantFrom(0, 1, -1, 127, 128, 2 ** 31 - 1, -(2 ** 31)), fc.integer());
const UINT32 = fc.oneof(fc.constantFrom(0, 1, 2 ** 32 - 1), fc.nat({ max: 2 ** 32 - 1 }));
const INT64 = fc.oneof(
  fc.constantFrom(0n, 1n, -1n, 2n ** 28n, 2n ** 31n, 2n ** 35n, 2n ** 63n - 1n, -(2n ** 63n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
const UINT64 = fc.oneof(fc.constantFrom(0n, 2n ** 64n - 1n), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
const TEXT = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("", "\uFEFFtext", "ä".repeat(16), "a".repeat(33), "a".repeat(127), "a".repeat(200)),
);

const VALUES: Readonly<Record<ScalarType, fc.Arbitrary<unknown>>> = {
  [ScalarType.DOUBLE]: fc.double(),
  [ScalarType.FLOAT]: fc.float(),
  [ScalarType.INT64]: INT64,
  [ScalarType.UINT64]: UINT64,
  [ScalarType.INT32]: INT32,
  [ScalarType.FIXED64]: UINT64,
  [ScalarType.FIXED32]: UINT32,
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.STRING]: TEXT,
  [ScalarType.BYTES]: fc.uint8Array({ maxLength: 40 }),
  [ScalarType.UINT32]: UINT32,
  [ScalarType.SFIXED32]: INT32,
  [ScalarType.SFIXED64]: INT64,
  [ScalarType.SINT32]: INT32,
  [ScalarType.SINT64]: INT64,
};

/** Some fields of a message, each with some value that it can have. */
export function someFields(depth = 2): fc.Arbitrary<Record<string, unknown>> {
  const anyValueOf = (field: DescField): fc.Arbitrary<unknown> => {
    if (field.message) return someFields(depth - 1).map((init) => create(everyField, init));
    return VALUES[field.scalar ?? ScalarType.INT32];
  };
  const all = everyField.fields.filter(({ message }) => depth > 0 || !message);
  const one = fc.constantFrom(...all).chain((field) => {
    const value = anyValueOf(field);
    if (field.fieldKind === "list")
      return fc.array(value, { maxLength: 4 }).map((items) => [field.localName, items] as const);
    return value.map((value) =>
      field.oneof
        ? (["choice", { case: field.localName, value }] as const)
        : ([field.localName, value] as const),
    );
  });
  return fc.array(one, { maxLength: 6 }).map((entries) => Object.fromEntries(entries));
}

/** Any message of it. */
export const someMessage: fc.Arbitrary<Message> = someFields().map((init) => create(everyField, init));

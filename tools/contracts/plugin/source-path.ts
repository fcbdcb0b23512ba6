import type { AnyDesc, DescExtension, DescField, DescMessage, DescOneof } from "@bufbuild/protobuf";

// Field numbers of google.protobuf.*DescriptorProto, of which paths are made.
const OF_FILE = { message: 4, enum: 5, service: 6, extension: 7 };
const OF_MESSAGE = { field: 2, message: 3, enum: 4, extension: 6, oneof: 8 };
const METHOD_OF_SERVICE = 2;
const VALUE_OF_ENUM = 2;
const OPTIONS = {
  file: 8,
  message: 7,
  field: 8,
  extension: 8,
  oneof: 2,
  enum: 3,
  enum_value: 3,
  service: 3,
  rpc: 4,
};

/**
 * Where something stands in its file, as SourceCodeInfo.Location.path has it: the option if the file tells where that
 * is, else the nearest thing around it of which it does.
 */
export function sourcePath(desc: AnyDesc, option?: DescExtension): number[] {
  const own = pathOf(desc);
  if (!option) return own;
  const wanted = [...own, OPTIONS[desc.kind], option.number];
  const found = fileOf(desc).proto.sourceCodeInfo?.location.find(({ path }) =>
    wanted.every((part, index) => path[index] === part),
  );
  return found?.path ?? own;
}

/** The file in which something stands. */
export function fileOf(desc: AnyDesc) {
  if (desc.kind === "file") return desc;
  if (desc.kind === "enum_value" || desc.kind === "field" || desc.kind === "oneof" || desc.kind === "rpc")
    return desc.parent.file;
  return desc.file;
}

function pathOf(desc: AnyDesc): number[] {
  switch (desc.kind) {
    case "file":
      return [];
    case "service":
      return [OF_FILE.service, desc.file.proto.service.indexOf(desc.proto)];
    case "rpc":
      return [...pathOf(desc.parent), METHOD_OF_SERVICE, desc.parent.proto.method.indexOf(desc.proto)];
    case "message":
      return desc.parent
        ? [...pathOf(desc.parent), OF_MESSAGE.message, desc.parent.proto.nestedType.indexOf(desc.proto)]
        : [OF_FILE.message, desc.file.proto.messageType.indexOf(desc.proto)];
    case "enum":
      return desc.parent
        ? [...pathOf(desc.parent), OF_MESSAGE.enum, desc.parent.proto.enumType.indexOf(desc.proto)]
        : [OF_FILE.enum, desc.file.proto.enumType.indexOf(desc.proto)];
    case "enum_value":
      return [...pathOf(desc.parent), VALUE_OF_ENUM, desc.parent.proto.value.indexOf(desc.proto)];
    case "extension":
      return desc.parent
        ? [...pathOf(desc.parent), OF_MESSAGE.extension, desc.parent.proto.extension.indexOf(desc.proto)]
        : [OF_FILE.extension, desc.file.proto.extension.indexOf(desc.proto)];
    case "field":
    case "oneof":
      return [...pathOf(desc.parent), ...within(desc.parent, desc)];
  }
}

function within({ proto }: DescMessage, desc: DescField | DescOneof): number[] {
  return desc.kind === "field"
    ? [OF_MESSAGE.field, proto.field.indexOf(desc.proto)]
    : [OF_MESSAGE.oneof, proto.oneofDecl.indexOf(desc.proto)];
}

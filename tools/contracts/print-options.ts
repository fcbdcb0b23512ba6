import {
  create,
  type DescExtension,
  type DescMessage,
  getExtension,
  hasExtension,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { toText } from "@bufbuild/protobuf/txtpb";

/**
 * Every option that is set, as name and value in the text format, which is the form that .proto files use too. Throws
 * on a custom option that the registry does not know.
 */
export function optionValues(
  schema: DescMessage,
  options: Message | undefined,
  registry: Registry,
): [name: string, value: string][] {
  if (options === undefined) return [];
  return [...standardOptions(schema, options), ...customOptions(schema, options, registry)];
}

function standardOptions(schema: DescMessage, options: Message): [string, string][] {
  const message = reflect(schema, options);
  return message.fields
    .filter((field) => message.isSet(field))
    .map((field) => {
      const alone = reflect(schema, create(schema));
      alone.set(field, message.get(field));
      const text = toText(schema, alone.message).trimEnd();
      return [field.name, text.slice(text.indexOf(":") + 1).trimStart()];
    });
}

function customOptions(schema: DescMessage, options: Message, registry: Registry): [string, string][] {
  const extensions = [...registry]
    .filter((type) => type.kind === "extension")
    .filter((ext) => hasExtension(options, ext));
  const unknown = options.$unknown?.find(({ no }) => !extensions.some((ext) => ext.number === no));
  if (unknown)
    throw new Error(
      `Cannot print option ${unknown.no} of ${schema.typeName}: the registry does not know it.`,
    );
  return extensions.map((ext) => [`(${ext.typeName})`, aggregate(ext, getExtension(options, ext), registry)]);
}

function aggregate(ext: DescExtension, value: unknown, registry: Registry): string {
  if (ext.fieldKind !== "message")
    throw new Error(`Cannot print option ${ext.typeName}: its type is no message.`);
  const text = toText(ext.message, value as Message, { registry });
  return `{\n${text.trimEnd().replace(/^(?=.)/gm, "  ")}\n}`;
}

import type { DescField, DescMessage } from "@bufbuild/protobuf";

/** The fields that a path such as `product.product_id` names, from the outermost on. Undefined if there is no such path. */
export function fieldsAt(
  schema: DescMessage,
  path: string,
  /** Whether a field is meant by a name. Defaults to its own name in the .proto. */
  isNamed = (field: DescField, name: string) => field.name === name,
): readonly DescField[] | undefined {
  const [name = "", ...rest] = path.split(".");
  const field = schema.fields.find((each) => isNamed(each, name));
  if (!field || rest.length === 0) return field && [field];
  if (field.fieldKind !== "message") return undefined;
  const inner = fieldsAt(field.message, rest.join("."), isNamed);
  return inner && [field, ...inner];
}

/** The path of fields as the .proto names them, such as `product.product_id`. */
export function pathOf(fields: readonly DescField[]): string {
  return fields.map(({ name }) => name).join(".");
}

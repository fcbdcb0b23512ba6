import { clone, create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { DurationSchema } from "@bufbuild/protobuf/wkt";

/**
 * One message of several layers, the later over the earlier: a field that a layer sets replaces what lies below, a
 * message in it field by field, a list or a duration as a whole. The layers stay as they are.
 */
export function overlay<D extends DescMessage>(
  schema: D,
  layers: readonly (MessageShape<D> | undefined)[],
): MessageShape<D> {
  const result = create(schema);
  for (const layer of layers) if (layer) lay(reflect(schema, clone(schema, layer)), reflect(schema, result));
  return result;
}

function lay(over: ReflectMessage, below: ReflectMessage): void {
  for (const field of over.fields) {
    if (!over.isSet(field)) continue;
    const isWhole = field.fieldKind !== "message" || field.message.typeName === DurationSchema.typeName;
    if (isWhole || !below.isSet(field)) below.set(field, over.get(field));
    else lay(over.get(field), below.get(field));
  }
}

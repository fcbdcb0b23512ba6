import { create, type DescField, type JsonValue, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import type { Route } from "../contract/routes.ts";

const NAME = "update_mask";

/** The mask of a PATCH that is filled in if its caller leaves it out; undefined if the route has none. */
export function filledMask({ verb, method, body: part }: Route): DescField | undefined {
  const mask = method.input.fields.find(({ name }) => name === NAME);
  const whole = method.input.fields.find(({ name }) => name === part);
  return verb === "PATCH" && isMask(mask) && whole?.fieldKind === "message" ? mask : undefined;
}

/**
 * Fills in the mask of a PATCH whose caller left it out (AIP-134): it changes what its body says, even if that is empty or
 * 0. What the path says is which one is changed, so it is not in the mask.
 */
export function fillUpdateMask(route: Route, message: Message, body: JsonValue | undefined): void {
  const { method, body: part, template } = route;
  const mask = filledMask(route);
  const whole = method.input.fields.find(({ name }) => name === part);
  if (!mask || whole?.fieldKind !== "message" || !isObject(body)) return;
  const request = reflect(method.input, message);
  if (request.isSet(mask)) return;
  const inPath = template.variables.map(({ fieldPath }) => fieldPath);
  const paths = whole.message.fields
    .filter(({ name, jsonName }) => Object.hasOwn(body, name) || Object.hasOwn(body, jsonName))
    .map(({ name }) => name)
    .filter((name) => !inPath.includes(`${whole.name}.${name}`));
  request.set(mask, reflect(FieldMaskSchema, create(FieldMaskSchema, { paths })));
}

function isMask(field: DescField | undefined): field is DescField & { readonly fieldKind: "message" } {
  return field?.fieldKind === "message" && field.message.typeName === FieldMaskSchema.typeName;
}

function isObject(json: JsonValue | undefined): json is Readonly<Record<string, JsonValue>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

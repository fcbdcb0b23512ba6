import { fromBinary, type JsonObject, type Registry, toJson } from "@bufbuild/protobuf";
import { masked } from "../../mesh/contract/pii.ts";

/** What a payload says, or its bytes if that cannot be told. */
export type Content =
  | { readonly case: "content"; readonly value: JsonObject }
  | { readonly case: "raw"; readonly value: Uint8Array };

/** A payload as JSON, personal data masked; as it came if its type is unknown or the bytes are none of it. */
export function contentOf(contracts: Registry, type: string, payload: Uint8Array): Content {
  const schema = contracts.getMessage(type);
  if (!schema) return { case: "raw", value: payload };
  try {
    const message = masked(schema, fromBinary(schema, payload));
    return { case: "content", value: toJson(schema, message, { registry: contracts }) as JsonObject };
  } catch {
    return { case: "raw", value: payload };
  }
}

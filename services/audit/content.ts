import { createHash } from "node:crypto";
import { create, fromBinary, type JsonObject, type Registry, toJson } from "@bufbuild/protobuf";
import { type HiddenPayload, HiddenPayloadSchema } from "../../gen/mesh/admin/v1/hidden_payload_pb.ts";
import { masked, mayBePrivate } from "../../mesh/contract/pii.ts";

/** What a payload says, or its bytes if that cannot be told; of bytes that may be personal, only what they are. */
export type Content =
  | { readonly case: "content"; readonly value: JsonObject }
  | { readonly case: "raw"; readonly value: Uint8Array }
  | { readonly case: "hidden"; readonly value: HiddenPayload };

/**
 * A payload as JSON, personal data masked; as it came if its type is unknown or the bytes are none of it. Bytes that are
 * none of a type that may hold personal data are not shown: a broken message may still be full of them.
 */
export function contentOf(contracts: Registry, type: string, payload: Uint8Array): Content {
  const schema = contracts.getMessage(type);
  if (!schema) return { case: "raw", value: payload };
  try {
    const message = masked(schema, fromBinary(schema, payload));
    return { case: "content", value: toJson(schema, message, { registry: contracts }) as JsonObject };
  } catch {
    if (!mayBePrivate(schema)) return { case: "raw", value: payload };
    const sha256 = createHash("sha256").update(payload).digest("hex");
    return {
      case: "hidden",
      value: create(HiddenPayloadSchema, { sizeBytes: BigInt(payload.length), sha256 }),
    };
  }
}

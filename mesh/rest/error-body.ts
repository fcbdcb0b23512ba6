import { STATUS_CODES } from "node:http";
import {
  create,
  createRegistry,
  type DescMessage,
  fromBinary,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import type { Code, ConnectError } from "@connectrpc/connect";
import { CodeSchema } from "../../gen/google/rpc/code_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  file_google_rpc_error_details,
} from "../../gen/google/rpc/error_details_pb.ts";

const DETAILS = createRegistry(file_google_rpc_error_details);

/** An error as `google.rpc.Status` in JSON. Details of types that are not google.rpc's are left out. */
export function statusOf(error: ConnectError): JsonObject {
  return { code: error.code, message: error.rawMessage, details: error.details.flatMap(detailOf) };
}

type Detail = ConnectError["details"][number];

function detailOf(detail: Detail): JsonValue[] {
  if ("desc" in detail) {
    const { desc, value } = detail;
    return [asAny(desc, toJson(desc, create(desc, value)))];
  }
  const schema = DETAILS.getMessage(detail.type);
  return schema ? [asAny(schema, toJson(schema, fromBinary(schema, detail.value)))] : [];
}

function asAny({ typeName }: DescMessage, json: JsonValue): JsonValue {
  return { "@type": `type.googleapis.com/${typeName}`, ...(json as JsonObject) };
}

/** An error as problem details (RFC 9457): why, in the words of the contract, and which fields are bad. */
export function problemOf(error: ConnectError, status: number): JsonObject {
  const [info] = error.findDetails(ErrorInfoSchema);
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return {
    type: "about:blank",
    // 499 is no status of the RFCs, so Node has no words for it.
    title: STATUS_CODES[status] ?? "Client Closed Request",
    status,
    detail: error.rawMessage,
    code: nameOf(error.code),
    ...(info && { reason: info.reason, domain: info.domain, metadata: info.metadata }),
    ...(violations.length > 0 && {
      violations: violations.map(({ field, description }) => ({ field, description })),
    }),
  };
}

function nameOf(code: Code): string {
  return CodeSchema.value[code]?.name ?? "UNKNOWN";
}

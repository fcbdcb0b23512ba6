import { type DescEnum, getOption, hasOption } from "@bufbuild/protobuf";
import type { Code } from "@connectrpc/connect";
import { code, MeshErrorSchema } from "../../gen/mesh/error/v1/error_pb.ts";
import { AppError, type FieldViolation } from "../core/errors.ts";

/** What an error may add to its reason. */
export interface RefusalDetails {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  /** When it is worth trying again. Milliseconds. */
  readonly retryDelayMs?: number;
  readonly cause?: unknown;
}

/** Makes the error of a reason; the contract says which code it carries. */
export type Refuse<Reason extends number> = (
  reason: Reason,
  message: string,
  details?: RefusalDetails,
) => AppError;

/** The text of a reason: its value's name without the enum's prefix, such as OUT_OF_STOCK. */
export function reasonName(reasons: DescEnum, value: number): string {
  const { name } = declared(reasons, value);
  return name.slice((reasons.sharedPrefix ?? "").length).toUpperCase();
}

/**
 * The errors of one `*_error.proto`. Throws at start if a value but the zero value has no code: a reason without a
 * code would leave the service as INTERNAL.
 */
export function refusals<Reason extends number>(
  reasons: DescEnum,
  domain: string = reasons.file.proto.package,
): Refuse<Reason> {
  for (const value of reasons.values) {
    if (value.number !== 0 && !hasOption(value, code)) {
      throw new Error(`${reasons.typeName}.${value.name} states no (mesh.error.v1.code)`);
    }
  }
  return (reason, message, details = {}) =>
    new AppError(message, {
      ...details,
      code: getOption(declared(reasons, reason), code) as number as Code,
      reason: reasonName(reasons, reason),
      domain,
    });
}

function declared(reasons: DescEnum, number: number) {
  const value = reasons.value[number];
  if (value === undefined) throw new Error(`${reasons.typeName} has no value ${number}`);
  return value;
}

/** The ErrorInfo domain of the reasons that the mesh itself gives. */
export const MESH_DOMAIN = "mesh.weft";

/** The errors that the mesh itself gives. */
export const refuseByMesh = refusals(MeshErrorSchema, MESH_DOMAIN);

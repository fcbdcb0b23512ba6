import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../contract/reasons.ts";
import type { ShedReason } from "../../resilience/admission.ts";
import { PUSHBACK_HEADER } from "../call-headers.ts";

/** What there is too much of: what an admission finds, or streams. */
export type Why = ShedReason | "streams";

const TEXT = "this instance has too much to do; it did not start the call";
const { code, reason, domain } = refuseByMesh(MeshError.SHED, TEXT);
const infos = new Map<Why, ReturnType<typeof infoOf>>();

/**
 * The error of a call that is refused because there is too much to do, with the time at which its caller may come back.
 * It is made of what is made once, and has no stack: under overload it is made all the time, at the same place.
 */
export function shed(why: Why, pushbackMs: number): ConnectError {
  const info = infos.get(why) ?? infoOf(why);
  infos.set(why, info);
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return new ConnectError(TEXT, code, { [PUSHBACK_HEADER]: String(pushbackMs) }, [info]);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function infoOf(why: Why) {
  const value = create(ErrorInfoSchema, { reason, domain, metadata: { why } });
  return { desc: ErrorInfoSchema, value };
}

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** What stands in the refusal that every peer gives: nothing that the wire may carry as it is. */
export const REFUSAL = {
  code: Code.FailedPrecondition,
  text: "nö: 100 % sold\nout",
  info: { reason: "OUT_OF_STOCK", domain: "interop.weft", metadata: { product: "größer" } },
} as const;

/** Makes the refusal. */
export function refusal(): ConnectError {
  const value = create(ErrorInfoSchema, REFUSAL.info);
  return new ConnectError(REFUSAL.text, REFUSAL.code, undefined, [{ desc: ErrorInfoSchema, value }]);
}

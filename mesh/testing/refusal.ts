import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** What a caller learns of a refusal. */
export interface Refusal {
  /** The gRPC code by name, such as `NotFound`. */
  readonly code: string;
  /** Of its ErrorInfo. */
  readonly reason: string | undefined;
  /** Of its ErrorInfo. */
  readonly domain: string | undefined;
  /** The bad fields of its BadRequest, if it has one. */
  readonly fields?: readonly string[];
}

/** What a call was refused with. Rejects if it was not: with what it answered, or with an error that is no refusal. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    (answer) => new Error(`the call was not refused; it answered ${describe(answer)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw error;
  const [info] = error.findDetails(ErrorInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  return {
    code: Code[error.code],
    reason: info?.reason,
    domain: info?.domain,
    ...(bad && { fields: bad.fieldViolations.map((violation) => violation.field) }),
  };
}

function describe(answer: unknown): string {
  return JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

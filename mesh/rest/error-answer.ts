import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { AppError } from "../core/errors.ts";
import { answerHeaders } from "../rpc/call-headers.ts";
import { toConnectError } from "../rpc/errors.ts";
import { preferred } from "./accept.ts";
import { problemOf, statusOf } from "./error-body.ts";
import { HttpRefusal } from "./http-refusal.ts";
import { httpStatusOf } from "./http-status.ts";

/** True for what its caller may learn of; anything else is our own fault. */
export function isAnswerable(error: unknown): boolean {
  return error instanceof HttpRefusal || error instanceof AppError || error instanceof ConnectError;
}

/** An error as it is written for its caller. */
export interface WrittenError {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** An error as an answer: `google.rpc.Status` in JSON, or problem details if `accept` prefers them. Never kept. */
export function errorAnswer(error: unknown, accept: string | null): Response {
  const { status, headers, bytes } = writeError(error, accept);
  return new Response(bytes, { status, headers });
}

/** What {@link errorAnswer} is made of. */
export function writeError(error: unknown, accept: string | null): WrittenError {
  const refusal = error instanceof HttpRefusal ? error : undefined;
  const leaving = toConnectError(refusal?.error ?? error);
  const status = refusal?.status ?? httpStatusOf(leaving.code);
  // An error is told to who accepts neither, too: better than no answer.
  const type = preferred(accept, ["application/json", "application/problem+json"]) ?? "application/json";
  const body = type === "application/json" ? statusOf(leaving) : problemOf(leaving, status);
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const headers = new Headers({
    ...Object.fromEntries(answerHeaders(leaving.metadata)),
    ...refusal?.headers,
    "content-type": type,
    "content-length": String(bytes.byteLength),
    "cache-control": "no-store",
  });
  const retryAfterS = retryAfter(leaving);
  if (retryAfterS !== undefined) headers.set("retry-after", String(retryAfterS));
  // RFC 9110 wants it with each 401.
  if (status === 401) headers.set("www-authenticate", "Bearer");
  return { status, headers, bytes };
}

/** Whole seconds, upwards: who comes sooner comes for nothing. */
function retryAfter(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && Math.ceil(durationMs(delay) / 1000);
}

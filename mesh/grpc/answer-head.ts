import { Code, ConnectError } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { parseContentType } from "./content-type.ts";
import { findValue } from "./metadata.ts";
import { codeFromHttpStatus, fromTrailers, hasStatus } from "./status.ts";

/** Says what is wrong with the headers of an answer: it is no gRPC, or it has another codec than was asked for. */
export function answerProblem(
  fields: readonly HeaderField[],
  codec: "proto" | "json",
  isEnd: boolean,
): ConnectError | undefined {
  const status = findValue(fields, ":status");
  if (status !== "200") {
    // What stands before a server may add a status of gRPC's to its own.
    const told = hasStatus(fields) ? fromTrailers(fields) : undefined;
    return told ?? new ConnectError(`HTTP ${status}`, codeFromHttpStatus(Number(status)));
  }
  if (isEnd && hasStatus(fields)) return undefined;
  const type = findValue(fields, "content-type") ?? "";
  const found = parseContentType(type);
  if (found === codec) return undefined;
  const code = found === undefined ? Code.Unknown : Code.Internal;
  return new ConnectError(
    `the answer is ${type || "of no type"}, where gRPC with ${codec} was asked for`,
    code,
  );
}

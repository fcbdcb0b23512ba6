import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "../gen/google/rpc/error_details_pb.ts";
import { reasonOf } from "../mesh/rpc/errors.ts";

/** What the process ends with. */
export const EXIT = {
  done: 0,
  /** It was asked, and was refused, or is not well. */
  failed: 1,
  /** It was not asked: the command line makes no sense, or lacks a consent. */
  usage: 2,
  /** Nobody answered. */
  unreachable: 3,
} as const;

/** A command line that makes no sense. The message says what would. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A command that did its work and has bad news. */
export class BadNews extends Error {
  override readonly name = "BadNews";
}

/** What went wrong, what to do about it, and what the process ends with. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/** What an error says, without what grpc-js wraps around the problem of a connection. */
export function connectionProblem(error: unknown): string {
  const { rawMessage } = ConnectError.from(error);
  return /Last error: (?:Error: )?(.*?)\. Resolution note/.exec(rawMessage)?.[1] ?? rawMessage;
}

/** Says of an error what went wrong and what to do. `where` is whom it was asked, and the setting that says so. */
export function failureOf(
  error: unknown,
  where?: { readonly target: string; readonly setting: string },
): Failure {
  if (error instanceof UsageError) return { text: error.message, exitCode: EXIT.usage };
  if (error instanceof BadNews) return { text: error.message, exitCode: EXIT.failed };
  if (!(error instanceof ConnectError)) throw error;

  const reason = reasonOf(error);
  const text = reason ? `${error.rawMessage} (${reason.reason})` : connectionProblem(error);
  switch (error.code) {
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return {
        text: where
          ? `no answer from ${where.target}: ${text}\nIs it running (make run)? If it is elsewhere, say where: ${where.setting}=static:///host:port`
          : text,
        exitCode: EXIT.unreachable,
      };
    case Code.PermissionDenied:
    case Code.Unauthenticated:
      return {
        text: `${text}\nSet MESH_OPERATOR_TOKEN to the token that the services were started with.`,
        exitCode: EXIT.failed,
      };
    case Code.InvalidArgument: {
      const [bad] = error.findDetails(BadRequestSchema);
      const fields = bad?.fieldViolations.map(({ field, description }) => `${field}: ${description}`);
      return { text: fields?.join("\n") || text, exitCode: EXIT.usage };
    }
    default:
      return { text, exitCode: EXIT.failed };
  }
}

import { AppError } from "../core/errors.ts";

/** Why somebody was not let do something, for counts and logs. Holds nothing secret. */
export interface AccessRefusal {
  /** Of the mesh's own reasons, such as TOKEN_INVALID. */
  readonly reason: string;
  /** What was wrong with a token, as the library says it, such as ERR_JWT_EXPIRED. Undefined if nothing was. */
  readonly why: string | undefined;
}

const REASONS = new Set(["TOKEN_MISSING", "TOKEN_INVALID", "NOT_ALLOWED", "IDENTITY_FORGED"]);
const toOthers = new WeakSet<AppError>();

/** Has an error count as a refusal of who calls, whatever it says: that something is not there, as far as others may know. */
export function ofOwner(error: AppError): AppError {
  toOthers.add(error);
  return error;
}

/** What an error refuses, if it is about who calls. */
export function accessRefusalOf(error: unknown): AccessRefusal | undefined {
  if (!(error instanceof AppError)) return undefined;
  if (toOthers.has(error)) return { reason: "NOT_ALLOWED", why: undefined };
  if (!REASONS.has(error.reason)) return undefined;
  const { code } = (error.cause ?? {}) as { readonly code?: unknown };
  return { reason: error.reason, why: typeof code === "string" ? code : undefined };
}

import type { Code } from "@connectrpc/connect";

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** The path of the field, such as `lines[0].quantity`. */
  readonly field: string;
  /** What is wrong, for a person. */
  readonly description: string;
}

/** What an {@link AppError} is made of. */
export interface AppErrorInit {
  readonly code: Code;
  /** The reason without its enum's prefix, such as OUT_OF_STOCK. */
  readonly reason: string;
  /** Who gives the reason its meaning: a package, or `mesh.weft`. */
  readonly domain: string;
  /** What the reason is about; it leaves the service, so it holds nothing secret. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  /** When it is worth trying again, for `google.rpc.RetryInfo`. Milliseconds. */
  readonly retryDelayMs?: number;
  readonly cause?: unknown;
}

/**
 * A refusal that its caller may see: its message, reason and metadata leave the service as they are. Any other error
 * leaves as INTERNAL, without a text. The cause is for the log only.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: Code;
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryDelayMs: number | undefined;

  constructor(message: string, init: AppErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.reason = init.reason;
    this.domain = init.domain;
    this.metadata = init.metadata ?? {};
    this.violations = init.violations ?? [];
    this.retryDelayMs = init.retryDelayMs;
  }
}

/** A failure that no retry can mend: an event handler throws it to have the message dead-lettered at once. */
export class PermanentError extends Error {
  override readonly name = "PermanentError";
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Node's socket errors, the driver's connection errors, and PostgreSQL's classes 08 (connection), 53 (resources) and
// 57P (shutdown and start-up).
const UNAVAILABLE =
  /^(ECONN\w+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|CONNECTION_\w+|CONNECT_TIMEOUT|08\w{3}|53\w{3}|57P0[1-5])$/;

/** True if the error says that a part we depend on is away, rather than that the work itself is wrong. */
export function isUnavailable(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    const code = (e as { code?: unknown }).code;
    if (typeof code === "string" && UNAVAILABLE.test(code)) return true;
  }
  return false;
}

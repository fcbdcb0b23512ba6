import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { outcomeOf } from "../../../mesh/resilience/outcome.ts";
import { reasonOf } from "./reason.ts";

/** What a customer is told of a call that failed. */
export interface Problem {
  /** What is wrong, and what can be done. */
  readonly text: string;
  /** What the service refused for, such as EMAIL_TAKEN. Undefined if it gave no reason. */
  readonly reason: string | undefined;
  /** What is wrong with single fields, by their paths in the request, such as "lines[0].quantity". */
  readonly fields: ReadonlyMap<string, string>;
  /** True if the call may have been carried out all the same: its answer was lost or late. */
  readonly isUnknown: boolean;
  /** True if trying again is of use. */
  readonly isPassing: boolean;
}

/** What services refuse for, in a customer's words. */
const BY_REASON: Readonly<Record<string, string>> = {
  INVALID_REQUEST: "Something is not filled in right.",
  INVALID_CREDENTIALS: "Address and password do not belong together.",
  TOO_MANY_SIGN_INS: "Too many people are signing in just now.",
  SIGN_IN_BLOCKED: "There were too many wrong passwords for this address.",
  RATE_LIMITED: "That was too often in a short time.",
  EMAIL_TAKEN: "There is an account with this address already. Sign in instead.",
  NOT_A_BUYER:
    "Only who has bought this can review it. If you have just bought it, the news takes a moment to get here.",
  PRODUCT_NOT_FOUND: "There is no such product, or not any more.",
  ORDER_NOT_FOUND: "There is no such order.",
  CUSTOMER_NOT_FOUND: "There is no such account.",
  REVIEW_NOT_FOUND: "There is no such review, or not any more.",
  ORDER_NOT_CANCELLABLE: "The order is already being paid, so it cannot be cancelled any more.",
  REQUEST_ID_REUSED: "This was sent before with other content. Start over.",
  NOT_ALLOWED: "This belongs to another account.",
  TOKEN_MISSING: "You need to sign in for this.",
  TOKEN_INVALID: "You need to sign in again for this.",
  SHED: "The shop has very much to do. Try again in a moment.",
};

const BY_CODE: Partial<Record<Code, string>> = {
  [Code.Unauthenticated]: "You need to sign in for this.",
  [Code.PermissionDenied]: "This belongs to another account.",
  [Code.NotFound]: "There is nothing here.",
  [Code.ResourceExhausted]: "That was too often in a short time.",
  [Code.Unavailable]: "A part of the shop cannot be reached just now. Try again in a moment.",
  [Code.DeadlineExceeded]: "The shop took too long to answer. Try again in a moment.",
};

const LOST = "The shop cannot be reached. Check your connection, then try again.";
const OWN_FAULT = "Something went wrong on our side. Try again later.";

const PASSING: readonly Code[] = [
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
  Code.Aborted,
];
const SAYS_NOTHING: readonly Code[] = [
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Unknown,
  Code.Internal,
  Code.Aborted,
  Code.Canceled,
  Code.DataLoss,
];

/** Says what an error means to a customer. Never an error's own text, which is for developers. */
export function problemOf(thrown: unknown): Problem {
  const error = ConnectError.from(thrown);
  const { kind, code, notProcessed, retryDelayMs } = outcomeOf(error);
  const reason = reasonOf(error);
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  const text = (reason && BY_REASON[reason]) ?? (kind === "LOST" ? LOST : BY_CODE[code]) ?? OWN_FAULT;
  return {
    text: code === Code.ResourceExhausted ? `${text} ${when(retryDelayMs)}` : text,
    reason,
    fields: new Map(violations.map(({ field, description }) => [field, asSentence(description)])),
    isUnknown: !notProcessed && kind !== "LOCAL_REJECT" && SAYS_NOTHING.includes(code),
    isPassing: PASSING.includes(code),
  };
}

/** A rule of the contract that was broken, as a sentence to read beside the field. */
function asSentence(description: string): string {
  if (/\bat least 1 characters?$/.test(description)) return "Fill this in.";
  return `It ${description.replace(/\.$/, "")}.`;
}

/** When to come back, as the server says it. */
function when(retryDelayMs = 0): string {
  const seconds = Math.ceil(retryDelayMs / 1000);
  if (seconds < 2) return "Try again in a moment.";
  return seconds < 120
    ? `Try again in ${seconds} seconds.`
    : `Try again in ${Math.ceil(seconds / 60)} minutes.`;
}

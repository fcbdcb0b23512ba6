import { create } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  type DegradedPart,
  DegradedPartSchema,
  DegradedReason,
} from "../../gen/shop/storefront/v1/storefront_pb.ts";
import type { Log } from "../../mesh/core/log.ts";
import { timeLeftMs } from "../../mesh/core/work.ts";
import { degradedOf, markDegraded } from "../../mesh/resilience/degraded.ts";
import { callerHeaders } from "../../mesh/rpc/call-headers.ts";
import { asOwnRefusal } from "../../mesh/rpc/errors.ts";

/** Asks the owner of a part, with these options: who asks, how long, and until when. */
export type Ask<T> = (options: CallOptions) => Promise<T>;

/** The parts of one page, asked for on behalf of its caller. */
export interface PageParts {
  /** A part without which there is no page: its owner's refusal is the page's. */
  required<T>(part: string, ask: Ask<T>): Promise<T>;
  /** A part that the page does without: undefined, and named in `degraded`, if it cannot be had. */
  optional<T>(part: string, ask: Ask<T>): Promise<T | undefined>;
  /** What is not as its owner knows it now, once all parts are in. Marks the answer, so that nobody keeps it. */
  degraded(): DegradedPart[];
}

// What a caller with little time leaves the page to put together what has come, in the place of no answer at all.
const TO_ANSWER_MS = 100;
const TO_ANSWER_SHARE = 0.2;

/**
 * Parts that are asked for with the caller's headers. Each has the time of its own method's contract, and no more than is
 * left of the page's, less what it takes to answer. What is under way is left when the caller leaves, or when the page is
 * answered without it, because a required part has failed.
 */
export function pageParts(context: HandlerContext, log: Log): PageParts {
  const degraded: DegradedPart[] = [];
  const { signal } = context;

  const degrade = (part: string, reason: DegradedReason) =>
    void degraded.push(create(DegradedPartSchema, { part, reason }));

  function askOwner<T>(part: string, ask: Ask<T>): Promise<T> {
    const leftMs = timeLeftMs();
    const timeoutMs = leftMs - Math.min(TO_ANSWER_MS, leftMs * TO_ANSWER_SHARE);
    return ask({
      headers: callerHeaders(context.requestHeader),
      signal,
      ...(Number.isFinite(timeoutMs) && { timeoutMs }),
      onTrailer(trailer) {
        if (degradedOf({ trailer }) === "stale") degrade(part, DegradedReason.STALE);
      },
    });
  }

  return {
    async required(part, ask) {
      try {
        return await askOwner(part, ask);
      } catch (error) {
        throw asOwnRefusal(error);
      }
    },

    async optional(part, ask) {
      try {
        return await askOwner(part, ask);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        if (!signal.aborted) log.warn({ part, code: Code[error.code] }, "a page does without a part");
        const isLate = error.code === Code.DeadlineExceeded;
        degrade(part, isLate ? DegradedReason.TIMEOUT : DegradedReason.UNAVAILABLE);
        return undefined;
      }
    },

    degraded() {
      const isStale = degraded.every(({ reason }) => reason === DegradedReason.STALE);
      if (degraded.length > 0) markDegraded(context.responseTrailer, isStale ? "stale" : "fallback");
      return degraded;
    },
  };
}

import type { ReactNode } from "react";
import { problemOf } from "../calls/problem.ts";

/** Something that the customer should know of a part of the page. Errors are read out at once, the others in their turn. */
export function Notice({ tone, children }: NoticeProps) {
  return (
    <div className={`notice ${tone}`} role={tone === "error" ? "alert" : "status"}>
      {children}
    </div>
  );
}

interface NoticeProps {
  readonly tone: "error" | "warning" | "good";
  readonly children: ReactNode;
}

/** What is wrong with a call, and a way to try it again where that is of use. */
export function ProblemNotice({ error, onRetry }: ProblemNoticeProps) {
  if (!error) return null;
  const { text, isPassing } = problemOf(error);
  return (
    <Notice tone="error">
      <p>{text}</p>
      {onRetry && isPassing && (
        <button type="button" className="quiet" onClick={onRetry}>
          Try again
        </button>
      )}
    </Notice>
  );
}

interface ProblemNoticeProps {
  readonly error: unknown;
  readonly onRetry?: (() => void) | undefined;
}

/** Says that something is on its way. */
export function Loading({ what }: { readonly what: string }) {
  return (
    <p className="loading" role="status">
      Loading {what}…
    </p>
  );
}

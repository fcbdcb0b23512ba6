import { type DegradedPart, DegradedReason } from "../../../gen/shop/storefront/v1/storefront_pb.ts";
import { Notice } from "./notice.tsx";

/** Parts of a page in a customer's words. */
export type PartNames = Readonly<Record<string, string>>;

/** Says which parts of a page are missing, or are as they were a while ago; nothing if all are there. */
export function DegradedNotice({ degraded, names, onRetry }: DegradedNoticeProps) {
  if (degraded.length === 0) return null;
  return (
    <Notice tone="warning">
      {degraded.map(({ part, reason }) => (
        <p key={part}>{inWords(names[part] ?? part, reason)}</p>
      ))}
      <button type="button" className="quiet" onClick={onRetry}>
        Try again
      </button>
    </Notice>
  );
}

interface DegradedNoticeProps {
  readonly degraded: readonly DegradedPart[];
  readonly names: PartNames;
  readonly onRetry: () => void;
}

function inWords(name: string, reason: DegradedReason): string {
  switch (reason) {
    case DegradedReason.STALE:
      return `${name}: shown as last known. The shop cannot ask for what is true now.`;
    case DegradedReason.TIMEOUT:
      return `${name}: not shown, the answer took too long.`;
    default:
      return `${name}: cannot be shown just now.`;
  }
}

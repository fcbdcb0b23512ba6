import { randomBytes } from "node:crypto";

/** Where a piece of work stands in a trace, as W3C Trace Context names it. */
export interface Trace {
  /** 32 hex digits: the whole story. */
  readonly traceId: string;
  /** 16 hex digits: this piece of it. */
  readonly spanId: string;
  /** 2 hex digits; bit 0 says sampled. */
  readonly flags: string;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Reads a `traceparent` header (W3C Trace Context, level 1). Undefined if absent or malformed: then a new trace begins. */
export function parseTraceparent(header: string | null | undefined): Trace | undefined {
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(header ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId, spanId, flags };
}

/** Writes a `traceparent` header. */
export function formatTraceparent({ traceId, spanId, flags }: Trace): string {
  return `00-${traceId}-${spanId}-${flags}`;
}

/** The next piece of work of a trace; of a new trace if there is none. */
export function childOf(parent: Trace | undefined): Trace {
  return {
    traceId: parent?.traceId ?? randomBytes(16).toString("hex"),
    spanId: randomBytes(8).toString("hex"),
    flags: parent?.flags ?? "00",
  };
}

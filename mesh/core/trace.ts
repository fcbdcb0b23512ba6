import { randomFillSync } from "node:crypto";

/** Where a piece of work stands in a trace, as W3C Trace Context names it. */
export interface Trace {
  /** 32 hex digits: the whole story. */
  readonly traceId: string;
  /** 16 hex digits: this piece of it. */
  readonly spanId: string;
  /** 2 hex digits; bit 0 says sampled. */
  readonly flags: string;
  /** The `tracestate` that came with it: what the tracing systems on its way noted. Passed on as it is. */
  readonly state?: string;
}

/** Says whether a trace is sampled. It is asked where a trace begins, and where one enters a process. */
export type Sampler = (traceId: string, parent: Trace | undefined) => boolean;

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
// What W3C has everybody pass on; a longer one may be dropped, and so nobody can grow our headers.
const MAX_STATE_LENGTH = 512;

/**
 * Reads a `traceparent` header (W3C Trace Context, level 1), and the `tracestate` beside it. Undefined if absent or
 * malformed: then a new trace begins.
 */
export function parseTraceparent(
  header: string | null | undefined,
  state?: string | null,
): Trace | undefined {
  const [, version, traceId, spanId, flags, rest] = TRACEPARENT.exec(header ?? "") ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return state && state.length <= MAX_STATE_LENGTH
    ? { traceId, spanId, flags, state }
    : { traceId, spanId, flags };
}

/** Writes a `traceparent` header. */
export function formatTraceparent({ traceId, spanId, flags }: Trace): string {
  return `00-${traceId}-${spanId}-${flags}`;
}

/**
 * The next piece of work of a trace; of a new trace if there is none. Without a sampler it is sampled if its parent is,
 * and a new trace is not.
 */
export function childOf(parent: Trace | undefined, sampler?: Sampler): Trace {
  if (!parent) {
    // Of one piece: what is asked of the source of chance twice costs twice.
    const id = randomHex(24);
    const traceId = id.slice(0, 32);
    const flags = sampler ? withSampled("00", sampler(traceId, undefined)) : "00";
    return { traceId, spanId: id.slice(32), flags };
  }
  const { traceId } = parent;
  const flags = sampler ? withSampled(parent.flags, sampler(traceId, parent)) : parent.flags;
  const child = { traceId, spanId: randomHex(8), flags };
  return parent.state === undefined ? child : { ...child, state: parent.state };
}

/** True if the pieces of this trace are to be recorded. */
export function isSampled({ flags }: Trace): boolean {
  return (Number.parseInt(flags, 16) & 1) === 1;
}

function withSampled(flags: string, sampled: boolean): string {
  const others = Number.parseInt(flags, 16) & 0xfe;
  return (others | (sampled ? 1 : 0)).toString(16).padStart(2, "0");
}

// Random bytes are cheap by the page, and dear by the call.
const page = Buffer.alloc(4_096);
let used = page.length;

function randomHex(bytes: number): string {
  if (used + bytes > page.length) {
    randomFillSync(page);
    used = 0;
  }
  used += bytes;
  return page.toString("hex", used - bytes, used);
}

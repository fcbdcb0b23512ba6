const UNIT_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 } as const;
const MAX_GRPC = 99_999_999;
const MAX_CONNECT = 9_999_999_999;

/** Headers, wherever they are kept: read by their names in lower case. */
export interface ReadableHeader {
  get(name: string): string | null | undefined;
}

/** The milliseconds that `grpc-timeout` or `connect-timeout-ms` gives a call; undefined if there is none. */
export function readTimeoutMs(header: ReadableHeader): number | undefined {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header.get("grpc-timeout") ?? "") ?? [];
  if (digits !== undefined) return Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
  const connect = header.get("connect-timeout-ms") ?? "";
  return /^\d{1,10}$/.test(connect) ? Number(connect) : undefined;
}

/**
 * Writes what is left into the timeout header that the request already has, so that each attempt tells the server what
 * the caller still waits for. The coarser unit where the number would be too long; never more than is left.
 */
export function writeTimeoutMs(header: Headers, timeoutMs: number): void {
  if (!Number.isFinite(timeoutMs)) return;
  if (header.has("connect-timeout-ms")) {
    header.set("connect-timeout-ms", String(Math.min(MAX_CONNECT, Math.floor(timeoutMs))));
  }
  if (header.has("grpc-timeout")) header.set("grpc-timeout", formatGrpcTimeout(timeoutMs));
}

/** `grpc-timeout` for so many milliseconds: at most 8 digits, as PROTOCOL-HTTP2 asks. */
export function formatGrpcTimeout(timeoutMs: number): string {
  for (const unit of ["m", "S", "M"] as const) {
    const amount = Math.floor(timeoutMs / UNIT_MS[unit]);
    if (amount <= MAX_GRPC) return `${amount}${unit}`;
  }
  return `${Math.min(MAX_GRPC, Math.floor(timeoutMs / UNIT_MS.H))}H`;
}

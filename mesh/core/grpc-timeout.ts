const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const SECOND_MS = 1_000;
const MAX_AMOUNT = 99_999_999;

/**
 * The milliseconds of a `grpc-timeout` (PROTOCOL-HTTP2), a fraction for microseconds and nanoseconds; undefined if it is no 1
 * to 8 digits and a unit. That may be more than a timer can wait.
 */
export function parseGrpcTimeout(value: string): number | undefined {
  const digits = value.length - 1;
  if (digits < 1 || digits > 8) return undefined;
  let amount = 0;
  for (let i = 0; i < digits; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    amount = amount * 10 + digit;
  }
  switch (value[digits]) {
    case "m":
      return amount;
    case "S":
      return amount * SECOND_MS;
    case "M":
      return amount * MINUTE_MS;
    case "H":
      return amount * HOUR_MS;
    case "u":
      return amount / 1_000;
    case "n":
      return amount / 1_000_000;
    default:
      return undefined;
  }
}

/**
 * `grpc-timeout` for so many milliseconds: in whole milliseconds, written in the largest unit that loses nothing of
 * them, or the finest whose number has 8 digits at most; below a millisecond in microseconds. Rounded down, so that no
 * server waits longer than its caller does. No time left, or none at all (NaN), is `0m`.
 */
export function formatGrpcTimeout(timeoutMs: number): string {
  if (!(timeoutMs > 0)) return "0m";
  if (timeoutMs < 1) return `${Math.floor(timeoutMs * 1_000)}u`;
  const wholeMs = Math.floor(timeoutMs);
  if (wholeMs % SECOND_MS !== 0 && wholeMs <= MAX_AMOUNT) return `${wholeMs}m`;
  const seconds = Math.floor(wholeMs / SECOND_MS);
  if (seconds % 60 !== 0 && seconds <= MAX_AMOUNT) return `${seconds}S`;
  const minutes = Math.floor(wholeMs / MINUTE_MS);
  if (minutes % 60 !== 0 && minutes <= MAX_AMOUNT) return `${minutes}M`;
  return `${Math.min(MAX_AMOUNT, Math.floor(wholeMs / HOUR_MS))}H`;
}

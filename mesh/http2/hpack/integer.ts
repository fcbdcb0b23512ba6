/** The most octets that {@link writeInteger} writes: the first one, and seven bits in each that follows. */
export const MOST_INTEGER_OCTETS = 6;

/**
 * Writes a whole number below 2^31 (RFC 7541, section 5.1) and returns the offset after it. `prefix` is the largest
 * number of the first octet's free bits, all ones; `pattern` is what the bits before them hold.
 */
export function writeInteger(
  out: Uint8Array,
  offset: number,
  pattern: number,
  prefix: number,
  value: number,
): number {
  if (value < prefix) {
    out[offset] = pattern | value;
    return offset + 1;
  }
  out[offset] = pattern | prefix;
  let at = offset + 1;
  let rest = value - prefix;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at] = rest;
  return at + 1;
}

/**
 * A header block that cannot be decoded. What the peers remember of each other's headers is no longer the same, so the
 * connection ends with COMPRESSION_ERROR (RFC 9113, section 4.3).
 */
export class HpackError extends Error {
  override readonly name = "HpackError";
}

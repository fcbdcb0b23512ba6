import { ENVELOPE_BYTES } from "./envelope.ts";

const head = new Uint8Array(ENVELOPE_BYTES);

/** What stands before a message of so many bytes. It is the same memory each time, for who sends it at once. */
export function envelopeHead(flags: number, bytes: number): Uint8Array {
  head[0] = flags;
  head[1] = bytes >>> 24;
  head[2] = bytes >>> 16;
  head[3] = bytes >>> 8;
  head[4] = bytes;
  return head;
}

/**
 * The one message that data is, if it is nothing else: whole, not compressed and not too long. It is a view. All else is
 * for an EnvelopeReader to look at, which most calls then do without.
 */
export function wholeMessage(
  chunk: Buffer,
  start: number,
  end: number,
  maxBytes: number,
): Uint8Array | undefined {
  const bytes = end - start - ENVELOPE_BYTES;
  if (bytes < 0 || bytes > maxBytes || chunk[start] !== 0) return undefined;
  const said =
    (chunk[start + 1] as number) * 2 ** 24 +
    (((chunk[start + 2] as number) << 16) |
      ((chunk[start + 3] as number) << 8) |
      (chunk[start + 4] as number));
  return said === bytes ? chunk.subarray(start + ENVELOPE_BYTES, end) : undefined;
}

/** The types of frames (RFC 9113, section 6). PUSH_PROMISE is named to be refused. */
export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

/** The flags of frames. ACK and END_STREAM are the same bit, on different types. */
export const Flag = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** The octets of a frame's header. */
export const FRAME_HEAD_BYTES = 9;

/** The largest frame that everybody takes (RFC 9113, section 4.2), and that we take. */
export const DEFAULT_MAX_FRAME_BYTES = 16_384;

/** The window of a new stream and of a connection unless SETTINGS say otherwise (RFC 9113, section 6.9.2). */
export const DEFAULT_WINDOW_BYTES = 65_535;

/** The largest window, and the largest stream identifier. */
export const MAX_31_BITS = 2 ** 31 - 1;

/** What a client says first (RFC 9113, section 3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Writes a frame's header at `at` of `out` (RFC 9113, section 4.1). */
export function writeFrameHead(
  out: Buffer,
  at: number,
  bytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  out[at] = bytes >>> 16;
  out[at + 1] = bytes >>> 8;
  out[at + 2] = bytes;
  out[at + 3] = type;
  out[at + 4] = flags;
  out[at + 5] = streamId >>> 24;
  out[at + 6] = streamId >>> 16;
  out[at + 7] = streamId >>> 8;
  out[at + 8] = streamId;
}

/** Reads 32 bits without a sign. */
export function readUint32(from: Buffer, at: number): number {
  return (
    (((from[at] as number) << 24) |
      ((from[at + 1] as number) << 16) |
      ((from[at + 2] as number) << 8) |
      (from[at + 3] as number)) >>>
    0
  );
}

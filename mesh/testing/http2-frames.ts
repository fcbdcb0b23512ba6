/** What an HTTP/2 client says first (RFC 9113, section 3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The types of frames that tests write or read by hand (RFC 9113, section 6). */
export const FrameType = { HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, GOAWAY: 7, CONTINUATION: 9 } as const;

/** Their flags. */
export const FrameFlag = {
  ACK: 0x1,
  END_STREAM: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

/** A frame as it is on the wire, and nothing done with it. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

const HEAD_BYTES = 9;

/** The octets of a frame (RFC 9113, section 4.1). */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** The whole frames at the beginning of some octets, and how many octets they are. */
export function framesIn(octets: Buffer): { frames: RawFrame[]; length: number } {
  const frames: RawFrame[] = [];
  let at = 0;
  while (octets.length - at >= HEAD_BYTES) {
    const start = at + HEAD_BYTES;
    const end = start + octets.readUIntBE(at, 3);
    if (end > octets.length) break;
    const [type = 0, flags = 0] = octets.subarray(at + 3);
    frames.push({ type, flags, stream: octets.readUInt32BE(at + 5), payload: octets.subarray(start, end) });
    at = end;
  }
  return { frames, length: at };
}

/** The header blocks among some frames, in their order, each put together. */
export function headerBlocksIn(frames: readonly RawFrame[]): Buffer[] {
  const blocks: Buffer[] = [];
  let parts: Buffer[] = [];
  for (const { type, flags, payload } of frames) {
    if (type !== FrameType.HEADERS && type !== FrameType.CONTINUATION) continue;
    const isFirst = type === FrameType.HEADERS;
    const isPadded = isFirst && Boolean(flags & FrameFlag.PADDED);
    const start = (isPadded ? 1 : 0) + (isFirst && flags & FrameFlag.PRIORITY ? 5 : 0);
    parts.push(payload.subarray(start, payload.length - (isPadded ? (payload[0] ?? 0) : 0)));
    if (!(flags & FrameFlag.END_HEADERS)) continue;
    blocks.push(Buffer.concat(parts));
    parts = [];
  }
  return blocks;
}

import { ErrorCode } from "./error-code.ts";
import { DEFAULT_MAX_FRAME_BYTES, DEFAULT_WINDOW_BYTES, MAX_31_BITS, readUint32 } from "./frame.ts";
import { ConnectionError } from "./http2-error.ts";

/** The parameters of SETTINGS (RFC 9113, section 6.5.2). */
const HEADER_TABLE_SIZE = 0x1;
const ENABLE_PUSH = 0x2;
const MAX_CONCURRENT_STREAMS = 0x3;
const INITIAL_WINDOW_SIZE = 0x4;
const MAX_FRAME_SIZE = 0x5;
const MAX_HEADER_LIST_SIZE = 0x6;

const BYTES_EACH = 6;

/** What one side has told the other. */
export interface Settings {
  headerTableBytes: number;
  /** Infinity unless it was said. */
  maxConcurrentStreams: number;
  initialWindowBytes: number;
  maxFrameBytes: number;
  /** Infinity unless it was said. */
  maxHeaderListBytes: number;
}

/** What holds before anything was said. */
export function initialSettings(): Settings {
  return {
    headerTableBytes: 4_096,
    maxConcurrentStreams: Number.POSITIVE_INFINITY,
    initialWindowBytes: DEFAULT_WINDOW_BYTES,
    maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
    maxHeaderListBytes: Number.POSITIVE_INFINITY,
  };
}

/** What we say: only what differs from what holds anyway. */
export interface OwnSettings {
  /** A client says it, so that nobody pushes to it. */
  readonly refusesPush?: boolean;
  readonly maxConcurrentStreams?: number;
  readonly initialWindowBytes: number;
  readonly maxHeaderListBytes: number;
}

/** The payload of a SETTINGS frame. */
export function settingsPayload(own: OwnSettings): Buffer {
  const pairs: [number, number][] = [
    [INITIAL_WINDOW_SIZE, own.initialWindowBytes],
    [MAX_HEADER_LIST_SIZE, own.maxHeaderListBytes],
  ];
  if (own.refusesPush) pairs.push([ENABLE_PUSH, 0]);
  if (own.maxConcurrentStreams !== undefined) pairs.push([MAX_CONCURRENT_STREAMS, own.maxConcurrentStreams]);
  const payload = Buffer.alloc(pairs.length * BYTES_EACH);
  for (const [i, [id, value]] of pairs.entries()) {
    payload.writeUInt16BE(id, i * BYTES_EACH);
    payload.writeUInt32BE(value, i * BYTES_EACH + 2);
  }
  return payload;
}

/**
 * Writes what a SETTINGS frame says into `settings`; parameters that nobody knows are ignored. Throws ConnectionError for
 * what is not allowed. `mayPush`: whether ENABLE_PUSH may be 1, which only a client says.
 */
export function applySettings(
  settings: Settings,
  chunk: Buffer,
  start: number,
  end: number,
  mayPush: boolean,
): void {
  if ((end - start) % BYTES_EACH !== 0) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a length that is no multiple of 6");
  }
  for (let at = start; at < end; at += BYTES_EACH) {
    const id = ((chunk[at] as number) << 8) | (chunk[at + 1] as number);
    apply(settings, id, readUint32(chunk, at + 2), mayPush);
  }
}

function apply(settings: Settings, id: number, value: number, mayPush: boolean): void {
  switch (id) {
    case HEADER_TABLE_SIZE:
      settings.headerTableBytes = value;
      break;
    case ENABLE_PUSH:
      if (value > 1 || (value === 1 && !mayPush)) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_ENABLE_PUSH of ${value}`);
      }
      break;
    case MAX_CONCURRENT_STREAMS:
      settings.maxConcurrentStreams = value;
      break;
    case INITIAL_WINDOW_SIZE:
      if (value > MAX_31_BITS) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `SETTINGS_INITIAL_WINDOW_SIZE of ${value}`);
      }
      settings.initialWindowBytes = value;
      break;
    case MAX_FRAME_SIZE:
      if (value < DEFAULT_MAX_FRAME_BYTES || value >= 2 ** 24) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_MAX_FRAME_SIZE of ${value}`);
      }
      settings.maxFrameBytes = value;
      break;
    case MAX_HEADER_LIST_SIZE:
      settings.maxHeaderListBytes = value;
      break;
  }
}

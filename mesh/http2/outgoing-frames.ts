import type { Duplex } from "node:stream";
import { Flag, FRAME_HEAD_BYTES, FrameType, writeFrameHead } from "./frame.ts";
import { FrameWriter } from "./frame-writer.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import { HeaderTemplate } from "./hpack/header-template.ts";
import type { Settings } from "./settings.ts";
import type { Unsent } from "./unsent.ts";

/** Headers to send: as they are, or made once for many. */
export type Headers = readonly HeaderField[] | HeaderTemplate;

const NONE: readonly HeaderField[] = [];

/** Writes frames, in the order in which it is told to (RFC 9113, section 6). It knows no windows: those are the queue's. */
export class OutgoingFrames {
  readonly #writer: FrameWriter;
  readonly #encoder = new HpackEncoder();
  /** What the peer takes. */
  readonly #peer: Settings;
  #hasSaid = false;
  /** The last frame of DATA: data of the same stream goes into it as long as it is here and nothing stands behind it. */
  readonly #last = { streamId: 0, at: 0, end: 0, flushes: -1 };

  constructor(socket: Duplex, peer: Settings) {
    this.#writer = new FrameWriter(socket);
    this.#peer = peer;
  }

  /** The socket has more than it wants to hold. */
  get isFull(): boolean {
    return this.#writer.isFull;
  }

  /** The socket wants more. */
  drained(): void {
    this.#writer.isFull = false;
  }

  /** True if data or headers were written since this was last asked. */
  takeSaid(): boolean {
    const hasSaid = this.#hasSaid;
    this.#hasSaid = false;
    return hasSaid;
  }

  /** Bytes that the peer has not taken, as far as this process knows. */
  get pendingBytes(): number {
    return this.#writer.pendingBytes;
  }

  /** Bytes that have left this process while others wait to; undefined if none wait. */
  get leftBytes(): number | undefined {
    return this.#writer.leftBytes;
  }

  /** Gives what has been written to the socket, without waiting for the end of this turn. */
  flush(): void {
    this.#writer.flush();
  }

  /** From now on what is written goes nowhere. */
  close(): void {
    this.#writer.close();
  }

  /** The peer's table has changed. */
  settingsChanged(): void {
    this.#encoder.setMaxTableBytes(this.#peer.headerTableBytes);
  }

  /** Makes a block of headers that is sent again and again. */
  template(fields: readonly HeaderField[]): HeaderTemplate {
    return new HeaderTemplate(this.#encoder, fields);
  }

  /** HEADERS, and CONTINUATION if they are many. `more` are fields beside a template. */
  headers(streamId: number, fields: Headers, isEnd: boolean, more: readonly HeaderField[] = NONE): void {
    this.#hasSaid = true;
    const encoder = this.#encoder;
    const writer = this.#writer;
    const isTemplate = fields instanceof HeaderTemplate;
    const bound = isTemplate ? fields.bound() : encoder.bound(fields);
    writer.reserve(FRAME_HEAD_BYTES + bound + (more.length > 0 ? encoder.bound(more) : 0));
    const { at, buffer } = writer;
    const start = at + FRAME_HEAD_BYTES;
    let end = isTemplate ? fields.encode(buffer, start) : encoder.encode(fields, buffer, start);
    if (more.length > 0) end = encoder.encode(more, buffer, end);
    if (end - start > this.#peer.maxFrameBytes) {
      // Rare, so that copying it is no matter.
      this.#continued(streamId, Buffer.from(buffer.subarray(start, end)), isEnd);
      return;
    }
    const flags = isEnd ? Flag.END_STREAM | Flag.END_HEADERS : Flag.END_HEADERS;
    writeFrameHead(buffer, at, end - start, FrameType.HEADERS, flags, streamId);
    writer.at = end;
  }

  #continued(streamId: number, block: Buffer, isEnd: boolean): void {
    const { maxFrameBytes } = this.#peer;
    for (let from = 0; from < block.length; from += maxFrameBytes) {
      const part = block.subarray(from, from + maxFrameBytes);
      const end = from + part.length === block.length ? Flag.END_HEADERS : 0;
      if (from > 0) this.frame(FrameType.CONTINUATION, end, streamId, part);
      else this.frame(FrameType.HEADERS, isEnd ? Flag.END_STREAM | end : end, streamId, part);
    }
  }

  /**
   * DATA, in two parts for who has something to set before it. What is said on a stream one after the other in one turn is one
   * frame: many small messages then cost their reader one.
   */
  data(streamId: number, prefix: Uint8Array, body: Uint8Array, isEnd: boolean): void {
    this.#hasSaid = true;
    const writer = this.#writer;
    const bytes = prefix.length + body.length;
    const isMore = this.#takesMore(streamId, bytes);
    if (!isMore) writer.reserve(FRAME_HEAD_BYTES + bytes);
    const { buffer } = writer;
    const at = isMore ? this.#last.at : writer.at;
    const start = isMore ? writer.at : at + FRAME_HEAD_BYTES;
    const end = start + bytes;
    const flags = isEnd ? Flag.END_STREAM : 0;
    writeFrameHead(buffer, at, end - at - FRAME_HEAD_BYTES, FrameType.DATA, flags, streamId);
    // It is a few bytes: a call out of JavaScript costs more.
    for (let i = 0; i < prefix.length; i++) buffer[start + i] = prefix[i] as number;
    buffer.set(body, start + prefix.length);
    writer.at = end;
    const last = this.#last;
    last.streamId = isEnd ? 0 : streamId;
    last.at = at;
    last.end = end;
    last.flushes = writer.flushes;
  }

  #takesMore(streamId: number, bytes: number): boolean {
    const writer = this.#writer;
    const last = this.#last;
    return (
      last.streamId === streamId &&
      last.end === writer.at &&
      last.flushes === writer.flushes &&
      writer.at + bytes <= writer.buffer.length &&
      writer.at + bytes - last.at - FRAME_HEAD_BYTES <= this.#peer.maxFrameBytes
    );
  }

  /** DATA of so many bytes of what waits. */
  unsentData(streamId: number, unsent: Unsent, bytes: number, isEnd: boolean): void {
    this.#hasSaid = true;
    const writer = this.#writer;
    writer.reserve(FRAME_HEAD_BYTES + bytes);
    writeFrameHead(writer.buffer, writer.at, bytes, FrameType.DATA, isEnd ? Flag.END_STREAM : 0, streamId);
    unsent.moveTo(writer.buffer, writer.at + FRAME_HEAD_BYTES, bytes);
    writer.at += FRAME_HEAD_BYTES + bytes;
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    const writer = this.#writer;
    writer.reserve(FRAME_HEAD_BYTES + payload.length);
    writeFrameHead(writer.buffer, writer.at, payload.length, type, flags, streamId);
    writer.buffer.set(payload, writer.at + FRAME_HEAD_BYTES);
    writer.at += FRAME_HEAD_BYTES + payload.length;
  }

  reset(streamId: number, code: number): void {
    this.#number(FrameType.RST_STREAM, streamId, code);
  }

  /** On stream 0 for the connection. */
  windowUpdate(streamId: number, bytes: number): void {
    this.#number(FrameType.WINDOW_UPDATE, streamId, bytes);
  }

  #number(type: number, streamId: number, number: number): void {
    const writer = this.#writer;
    writer.reserve(FRAME_HEAD_BYTES + 4);
    writeFrameHead(writer.buffer, writer.at, 4, type, 0, streamId);
    writer.buffer.writeUInt32BE(number, writer.at + FRAME_HEAD_BYTES);
    writer.at += FRAME_HEAD_BYTES + 4;
  }

  ping(payload: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(payload, 4);
    this.frame(FrameType.PING, 0, 0, bytes);
  }

  /** `debug` is for people who look at the wire. */
  goaway(lastStreamId: number, code: number, debug = ""): void {
    const payload = Buffer.alloc(8 + debug.length);
    payload.writeUInt32BE(lastStreamId, 0);
    payload.writeUInt32BE(code, 4);
    payload.write(debug, 8, "latin1");
    this.frame(FrameType.GOAWAY, 0, 0, payload);
  }

  /** What is no frame. */
  bytes(bytes: Uint8Array): void {
    this.#writer.reserve(bytes.length);
    this.#writer.buffer.set(bytes, this.#writer.at);
    this.#writer.at += bytes.length;
  }
}

const EMPTY = new Uint8Array(0);
/** Up to here texts are put together from characters, which the engine keeps flat; up to there from a list of their codes. */
const [MAX_JOINED_BYTES, MAX_LISTED_BYTES] = [12, 32];

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Reads the bytes of a message one after the other (protobuf's encoding: varints, fixed widths, lengths). It is one object for
 * all messages; whatever is wrong makes it give up.
 */
export class WireCursor {
  bytes: Uint8Array = EMPTY;
  at = 0;
  /** How many messages this one is within. */
  depth = 0;
  /** What {@link varint64} has read. */
  low = 0;
  high = 0;
  #view: DataView | undefined;

  begin(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.at = 0;
    this.depth = 0;
    this.#view = undefined;
  }

  /** Lets go of the bytes. */
  end(): void {
    this.bytes = EMPTY;
    this.#view = undefined;
  }

  /** Throws. */
  giveUp(): never {
    throw GIVEN_UP;
  }

  get view(): DataView {
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.#view ??= new DataView(buffer, byteOffset, byteLength);
    return this.#view;
  }

  /** Goes on by so many bytes, and says where they begin. */
  skip(bytes: number): number {
    const start = this.at;
    this.at += bytes;
    if (this.at > this.bytes.length) this.giveUp();
    return start;
  }

  /** Reads two halves of 64 bits. */
  bits64(): [low: number, high: number] {
    const at = this.skip(8);
    return [this.view.getInt32(at, true), this.view.getInt32(at + 4, true)];
  }

  /** Reads the number of a field and how it stands there, if that is at most two bytes. */
  tag(): number {
    const first = this.bytes[this.at++] ?? this.giveUp();
    if (first < 0x80) return first;
    const second = this.bytes[this.at++] ?? this.giveUp();
    return second < 0x80 ? (second << 7) | (first & 0x7f) : this.giveUp();
  }

  /** Reads a length, and says where that much ends. */
  endOfDelimited(): number {
    const end = this.varint32() + this.at;
    return end > this.bytes.length ? this.giveUp() : end;
  }

  /** Reads 32 bits without a sign; more are passed over. */
  varint32(): number {
    const first = this.bytes[this.at] ?? this.giveUp();
    if (first < 0x80) {
      this.at++;
      return first;
    }
    this.varint64();
    return this.low >>> 0;
  }

  /** Reads 64 bits, as two numbers of 32. */
  varint64(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.bytes[this.at++] ?? this.giveUp();
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte >= 0x80) continue;
      this.low = low;
      this.high = high;
      return;
    }
    this.giveUp();
  }

  /** Reads text. Throws for what is no UTF-8, if that is to be. */
  string(isStrict: boolean): string {
    const end = this.endOfDelimited();
    const start = this.at;
    this.at = end;
    const length = end - start;
    const text =
      length <= MAX_JOINED_BYTES
        ? joined(this.bytes, start, end)
        : length <= MAX_LISTED_BYTES
          ? listed(this.bytes, start, end)
          : undefined;
    return text ?? decoderOf(isStrict).decode(this.bytes.subarray(start, end));
  }
}

/** The text of some bytes, if it is ASCII: for a few bytes it costs less than a call out of JavaScript. */
function joined(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = "";
  let i = start;
  for (; i + 4 <= end; i += 4) {
    const [a, b] = [bytes[i] as number, bytes[i + 1] as number];
    const [c, d] = [bytes[i + 2] as number, bytes[i + 3] as number];
    if ((a | b | c | d) >= 0x80) return undefined;
    text += String.fromCharCode(a, b, c, d);
  }
  for (; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte >= 0x80) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The same for some more. */
function listed(bytes: Uint8Array, start: number, end: number): string | undefined {
  const codes = new Array<number>(end - start);
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte >= 0x80) return undefined;
    codes[i - start] = byte;
  }
  return String.fromCharCode.apply(String, codes);
}

const GIVEN_UP = new Error("this is for somebody else to read");

const decoderOf = (isStrict: boolean) => (isStrict ? strict : lenient);

const PLAIN = /^[\x20-\x24\x26-\x7e]*$/;
const BYTES = /^[\0-\xff]*$/;
const HEX = "0123456789ABCDEF";

/**
 * Text as a `grpc-message` carries it: percent-encoded UTF-8 (PROTOCOL-HTTP2, Percent-Encoded). Half a surrogate pair
 * becomes U+FFFD. A space at an end is encoded too, because HTTP/2 forbids it there.
 */
export function encodeMessage(text: string): string {
  if (PLAIN.test(text) && !text.startsWith(" ") && !text.endsWith(" ")) return text;
  const bytes = Buffer.from(text);
  const last = bytes.length - 1;
  let encoded = "";
  for (let i = 0; i <= last; i++) {
    const byte = bytes[i] as number;
    const isPlain = byte > 0x20 && byte < 0x7f && byte !== 0x25;
    if (isPlain || (byte === 0x20 && i > 0 && i < last)) encoded += String.fromCharCode(byte);
    else encoded += `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return encoded;
}

/**
 * The text of a `grpc-message`. Never throws: a broken `%` stays as it is, and bytes that are no UTF-8 become U+FFFD.
 * Bytes that a peer did not encode count as UTF-8 too.
 */
export function decodeMessage(value: string): string {
  if (PLAIN.test(value)) return value;
  const bytes = Buffer.from(value, BYTES.test(value) ? "latin1" : "utf8");
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    const high = byte === 0x25 ? digitOf(bytes[i + 1]) : -1;
    const low = high < 0 ? -1 : digitOf(bytes[i + 2]);
    bytes[length++] = low < 0 ? byte : high * 16 + low;
    if (low >= 0) i += 2;
  }
  return bytes.toString("utf8", 0, length);
}

/** What a hexadecimal digit is worth; -1 if it is none. */
function digitOf(char: number | undefined): number {
  if (char === undefined) return -1;
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const letter = char | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

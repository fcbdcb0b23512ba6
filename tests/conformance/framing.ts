const PREFIX_BYTES = 4;

/** One message as the suite reads it: its length as a 32-bit big-endian number, then its bytes. */
export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(PREFIX_BYTES + message.byteLength);
  new DataView(framed.buffer).setUint32(0, message.byteLength);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** The messages that the suite writes. Throws if the stream ends within one. */
export async function* messagesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    held = held.byteLength === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.byteLength >= PREFIX_BYTES) {
      const { buffer, byteOffset } = held;
      const end = PREFIX_BYTES + new DataView(buffer, byteOffset).getUint32(0);
      if (held.byteLength < end) break;
      yield held.subarray(PREFIX_BYTES, end);
      held = held.subarray(end);
    }
  }
  if (held.byteLength > 0)
    throw new Error(`the stream ended within a message, after ${held.byteLength} bytes`);
}

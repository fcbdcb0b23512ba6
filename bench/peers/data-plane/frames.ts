/** Where a frame says how long it is. */
export interface Framing {
  readonly headerBytes: number;
  /** The offset of the length of what follows the header, 32 bits, big endian. */
  readonly lengthAt: number;
}

/** Cuts chunks, as they come, into whole frames, each with its header. */
export function frameReader(
  { headerBytes, lengthAt }: Framing,
  onFrame: (frame: Buffer) => void,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let has = 0;
  let needs = headerBytes;
  return (chunk) => {
    chunks.push(chunk);
    has += chunk.length;
    // A long frame is put together once, when all of it is there.
    if (has < needs) return;
    const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, has);
    let at = 0;
    for (needs = headerBytes; bytes.length - at >= needs; needs = headerBytes) {
      needs += bytes.readUInt32BE(at + lengthAt);
      if (bytes.length - at < needs) break;
      onFrame(bytes.subarray(at, at + needs));
      at += needs;
    }
    has = bytes.length - at;
    chunks = has > 0 ? [bytes.subarray(at)] : [];
  };
}

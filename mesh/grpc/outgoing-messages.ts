import type { Stream } from "../http2/stream.ts";
import { type Compression, identity } from "./compression.ts";
import { COMPRESSED } from "./envelope.ts";
import { envelopeHead } from "./envelope-head.ts";

/** How messages are sent. */
export interface OutgoingOptions<T> {
  readonly compression: Compression;
  readonly serialize: (message: T) => Uint8Array;
  /** Nobody wants more. */
  readonly isOver: () => boolean;
  /** Resolves when what waits has left, or the stream is over. */
  readonly whenDrained: () => Promise<void>;
}

/**
 * Sends messages as they come. The next is asked for only when the one before has left this process: the peer's window
 * bounds what is held. Ends early when the stream is over.
 */
export async function sendMessages<T>(
  stream: Stream,
  messages: AsyncIterable<T>,
  { compression, isOver, serialize, whenDrained }: OutgoingOptions<T>,
): Promise<void> {
  for await (const message of messages) {
    if (!stream.isOpen || stream.isLocalEnded || isOver()) return;
    const plain = serialize(message);
    const bytes = compression === identity ? plain : await compression.compress(plain);
    const hasLeft = stream.send(
      envelopeHead(compression === identity ? 0 : COMPRESSED, bytes.length),
      bytes,
      false,
    );
    if (!hasLeft && stream.isOpen) await whenDrained();
  }
}

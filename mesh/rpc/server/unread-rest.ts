import type { Readable } from "node:stream";
import type { RequestHandler } from "./port.ts";

// Node's own HTTP/2 client throws away what it has not read of an answer when its stream is closed.
const READ_WITHIN_MS = 100;

/**
 * Keeps the rest of a request that is answered before its end, such as one whose message is too large, from holding up
 * what else its connection carries: on HTTP/1.1 the next request stands behind it, and on HTTP/2 it keeps a part of the
 * window that all streams share. It is read away; on HTTP/2 its sender is told to stop (RFC 9113, section 8.1).
 */
export function passOverRest(...[request, response]: Parameters<RequestHandler>): void {
  // Who iterates and loses interest would destroy it, and what is destroyed is never read to its end.
  const kept = () => (request as Readable).iterator({ destroyOnReturn: false });
  Object.defineProperty(request, Symbol.asyncIterator, { value: kept });
  const stream = "stream" in response ? response.stream : undefined;
  // A response of HTTP/2 says so only when its stream is closed.
  (stream ?? response).once("finish", () => {
    if (request.complete) return;
    // Left behind by the iterator; it would keep the rest from flowing.
    request.removeAllListeners("readable");
    request.resume();
    if (!stream) return;
    setTimeout(() => {
      if (!stream.closed) stream.close();
    }, READ_WITHIN_MS).unref();
  });
}

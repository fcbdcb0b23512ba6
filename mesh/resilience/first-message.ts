import type { StreamRequest, StreamResponse } from "@connectrpc/connect";

/** A stream of requests, and whether it may be sent again. */
export interface Repeatable {
  readonly request: StreamRequest;
  readonly mayRepeat: () => boolean;
}

/**
 * Makes a stream of requests one that can be sent again: the single message of a server stream is kept; any other
 * stream may be sent again only if none of its messages was read, and nobody has left it.
 */
export async function repeatable(request: StreamRequest): Promise<Repeatable> {
  const messages = request.message;
  if (request.method.methodKind === "server_streaming") {
    const kept = await Array.fromAsync(messages);
    return { request: { ...request, message: each(kept) }, mayRepeat: () => true };
  }
  let isRead = false;
  const message = {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      return {
        next() {
          isRead = true;
          return iterator.next();
        },
        return(value?: unknown) {
          // What is left has ended: another reader would take it for a stream without messages.
          isRead = true;
          return iterator.return?.(value) ?? Promise.resolve({ done: true as const, value });
        },
      };
    },
  };
  return { request: { ...request, message }, mayRepeat: () => !isRead };
}

/** An iterable that begins anew for each reader. */
function each<T>(values: readonly T[]): AsyncIterable<T> {
  return {
    async *[Symbol.asyncIterator]() {
      yield* values;
    },
  };
}

/**
 * The response, once its first message is there: up to then a failure is one of the attempt. Servers that send their
 * headers with the first message, as connect's do, and never a Trailers-Only error, leave no earlier moment to tell
 * the two apart.
 */
export async function peekFirst(response: StreamResponse): Promise<StreamResponse> {
  const iterator = response.message[Symbol.asyncIterator]();
  const first = await iterator.next();
  async function* resumed() {
    try {
      for (let result = first; !result.done; result = await iterator.next()) yield result.value;
    } finally {
      await iterator.return?.();
    }
  }
  return { ...response, message: resumed() };
}

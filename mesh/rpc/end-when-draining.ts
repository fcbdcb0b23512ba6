import type { Interceptor } from "@connectrpc/connect";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";

/**
 * Ends streams when the server drains, with UNAVAILABLE and the reason DRAINING, so that a watcher goes to another
 * instance now rather than be cut off later. Calls that begin while draining are refused in the same way.
 */
export function endWhenDraining(draining: AbortSignal): Interceptor {
  return (next) => async (request) => {
    if (draining.aborted) throw drained();
    const response = await next(request);
    return response.stream ? { ...response, message: until(draining, response.message) } : response;
  };
}

async function* until<T>(draining: AbortSignal, messages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let end: () => void = () => {};
  const ended = new Promise<undefined>((resolve) => {
    end = () => resolve(undefined);
  });
  draining.addEventListener("abort", end, { once: true });
  if (draining.aborted) end();
  try {
    for (;;) {
      const result = await Promise.race([iterator.next(), ended]);
      if (result === undefined) throw drained();
      if (result.done) return;
      yield result.value;
    }
  } finally {
    draining.removeEventListener("abort", end);
    // Not awaited: a generator that waits for its next change ends at its signal, not here.
    iterator.return?.()?.catch(() => {});
  }
}

function drained() {
  return refuseByMesh(MeshError.DRAINING, "this instance is stopping; another one can take the call");
}

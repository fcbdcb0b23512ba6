import type { StreamResponse, UnaryResponse } from "@connectrpc/connect";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { MeshError } from "../../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../../contract/reasons.ts";
import { raceSignal } from "../../core/race.ts";
import type { Gate } from "./gate.ts";

/**
 * Ends streams when the server drains, with UNAVAILABLE and the reason DRAINING, so that a watcher goes to another
 * instance now rather than be cut off later. Calls that begin while draining are refused in the same way. Health is
 * asked about just this, and answers itself.
 */
export function endWhenDraining(draining: AbortSignal): Gate {
  const endsInTime = (response: UnaryResponse | StreamResponse) =>
    response.stream ? { ...response, message: until(draining, response.message) } : response;
  return {
    refusal: ({ method }) =>
      draining.aborted && method.parent.typeName !== Health.typeName ? drained() : undefined,
    interceptor: (next) => (request) => {
      if (request.service.typeName === Health.typeName) return next(request);
      if (draining.aborted) return Promise.reject(drained());
      return request.stream ? next(request).then(endsInTime) : next(request);
    },
  };
}

async function* until<T>(draining: AbortSignal, messages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await raceSignal(iterator.next(), draining);
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw error === draining.reason ? drained() : error;
  } finally {
    // Not awaited: a generator that waits for its next change ends at its signal, not here.
    iterator.return?.()?.catch(() => {});
  }
}

function drained() {
  return refuseByMesh(MeshError.DRAINING, "this instance is stopping; another one can take the call");
}

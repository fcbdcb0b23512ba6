import { wasNotSent } from "./not-sent.ts";
import type { ClosableTransport } from "./transport.ts";

/**
 * Spreads calls over the endpoints of a target in turn. A call that could not be sent, because nobody listens there,
 * goes to the next endpoint; one that was sent is never repeated here.
 */
export function anyEndpoint(endpoints: readonly ClosableTransport[]): ClosableTransport {
  let turn = 0;

  async function attempt<T>(call: (endpoint: ClosableTransport) => Promise<T>): Promise<T> {
    const first = turn++;
    for (let tried = 1; ; tried++) {
      const endpoint = endpoints[(first + tried - 1) % endpoints.length];
      if (!endpoint) throw new Error("a target needs at least one endpoint");
      try {
        return await call(endpoint);
      } catch (error) {
        if (tried >= endpoints.length || !wasNotSent(error)) throw error;
      }
    }
  }

  return {
    unary: (...call) => attempt((endpoint) => endpoint.unary(...call)),
    // A stream's requests can be read once only, so it is never sent twice.
    stream: (...call) => {
      const endpoint = endpoints[turn++ % endpoints.length];
      if (!endpoint) throw new Error("a target needs at least one endpoint");
      return endpoint.stream(...call);
    },
    close() {
      for (const endpoint of endpoints) endpoint.close();
    },
  };
}

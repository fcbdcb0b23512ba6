import type { MessageShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { InteropService } from "./contract.ts";

/** A stream on which both sides speak in turns. */
export interface TurnTaking {
  /** Sends a payload and waits for the answer to it. */
  take(payload: Uint8Array): Promise<MessageShape<typeof InteropService.method.bidiStream.output>>;
  /** Ends the client's half, and waits until the server has ended its own. Rejects if it answers instead. */
  end(): Promise<void>;
}

/** Opens such a stream. */
export function turnTaking(peer: Client<typeof InteropService>): TurnTaking {
  let next = Promise.withResolvers<Uint8Array | undefined>();
  async function* requests() {
    for (;;) {
      const payload = await next.promise;
      if (payload === undefined) return;
      next = Promise.withResolvers();
      yield { payload };
    }
  }
  const answers = peer.bidiStream(requests())[Symbol.asyncIterator]();
  return {
    async take(payload) {
      next.resolve(payload);
      const { done, value } = await answers.next();
      if (done) throw new Error("the server has ended the stream");
      return value;
    },
    async end() {
      next.resolve(undefined);
      const { done } = await answers.next();
      if (!done) throw new Error("the server has answered what nobody asked");
    },
  };
}

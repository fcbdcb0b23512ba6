import { createClient } from "@connectrpc/connect";
import { dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import type { ToyRequest, ToyResponse } from "../../mesh/testing/toy-calls.ts";
import { service } from "./contract.ts";

const DEADLINE_MS = 10_000;
/** A length that nobody else asks for, of more than one frame. */
const ANSWER_CHARACTERS = 20_011;

/** Somebody who means well. */
export interface Neighbour {
  readonly answered: number;
  /** Ends, and says what went wrong. */
  stop(): Promise<readonly string[]>;
}

/** Calls again and again on a connection of its own, each call with a deadline, until it is told to stop. */
export function neighbour(port: number): Neighbour {
  const endpoint = { host: "127.0.0.1", port };
  const transport = dataPlaneOf().grpc(endpoint, { interceptors: [], maxMessageBytes: 2 ** 22 });
  atEnd(async () => transport.close());
  const client = createClient(service, transport) as unknown as {
    ask(message: Partial<ToyRequest>, options: { timeoutMs: number }): Promise<ToyResponse>;
  };
  const problems: string[] = [];
  let answered = 0;
  let isOver = false;
  const calling = (async () => {
    while (!isOver) {
      try {
        const { text } = await client.ask({ n: ANSWER_CHARACTERS }, { timeoutMs: DEADLINE_MS });
        if (text.length !== ANSWER_CHARACTERS) problems.push(`an answer of ${text.length} characters`);
      } catch (error) {
        problems.push(String(error));
      }
      answered++;
      // So that who attacks, in this process, gets on too.
      await new Promise(setImmediate);
    }
  })();
  return {
    get answered() {
      return answered;
    },
    async stop() {
      isOver = true;
      await calling;
      transport.close();
      return problems;
    },
  };
}

import { createClient, type Transport } from "@connectrpc/connect";
import { CASES, COMPRESSED } from "../cases.ts";
import { InteropService } from "../contract.ts";
import type { Cannot, ClientPeer } from "./peer.ts";

/** What a transport of a case is to do. */
export interface Opening {
  /** Sends its messages compressed with gzip. */
  readonly sendsGzip: boolean;
}

/** Opens a transport to a port of 127.0.0.1, and what closes it. */
export type OpenTransport = (port: number, opening: Opening) => { transport: Transport; close(): void };

/** A client that runs the cases over a transport of Connect, one of its own for each case. */
export function typescriptClient(name: string, open: OpenTransport, cannot: Cannot = {}): ClientPeer {
  return {
    name,
    cannot,
    async run(which, port) {
      const { transport, close } = open(port, { sendsGzip: which === COMPRESSED.name });
      try {
        await CASES[which](createClient(InteropService, transport));
      } finally {
        close();
      }
    },
  };
}

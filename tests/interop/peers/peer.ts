import type { CaseName } from "../cases.ts";

/** Why a peer cannot do a case, which nobody's server or client can help. */
export type Cannot = Partial<Record<CaseName, string>>;

/** A client that runs the cases. */
export interface ClientPeer {
  readonly name: string;
  readonly cannot?: Cannot;
  /** Runs a case against a server on 127.0.0.1. Rejects with what went wrong. */
  run(name: CaseName, port: number): Promise<void>;
}

/** A server that the cases are run against. */
export interface ServerPeer {
  readonly name: string;
  readonly cannot?: Cannot;
  /** Why it answers uncompressed, also who asks for gzip. Undefined if it does not. */
  readonly answersPlain?: string;
  /** Starts it on a free port of 127.0.0.1. */
  start(): Promise<{ readonly port: number; stop(): Promise<void> | void }>;
}

/** A unary call, which answers with the text that it is given. */
export type Call = (text: string) => Promise<string>;

/** What every file of `peers/` and `weft/` exports. */
export interface Peer {
  /** Serves on this port of 127.0.0.1 until the process ends. */
  startServer(port: number): Promise<unknown>;
  /** Opens the way to what serves there. */
  openClient(port: number): Promise<Call>;
}

/** Where everything listens. */
export const HOST = "127.0.0.1";

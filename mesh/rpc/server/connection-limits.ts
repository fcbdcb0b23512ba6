/** What bounds the connections of a server, and what one of them may cost. */
export interface ConnectionLimits {
  /** How many may be open; one more is closed as it comes. Defaults to 2,000. */
  readonly maxConnections?: number;
  /** How long a connection may say nothing at all. Milliseconds. Defaults to 10,000. */
  readonly firstBytesWithinMs?: number;
  /** How long the first frame of HTTP/2, and each block of headers, may take. Milliseconds. Defaults to 10,000. */
  readonly headersWithinMs?: number;
  /**
   * How long a client may get on with nothing while it has sent a frame or a request in part, or has not read answers that
   * are whole. It is found after once to twice this time. Milliseconds. Defaults to 20,000.
   */
  readonly progressWithinMs?: number;
}

/** What can be spoken with a target. */
export const PROTOCOLS = ["grpc", "connect"] as const;

/** What is spoken with a target: `grpc` over HTTP/2 (grpc-js), or the Connect protocol (connect-node). */
export type Protocol = (typeof PROTOCOLS)[number];

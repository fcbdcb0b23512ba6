/** Carries how much a call matters, from the first service of a request to the last. */
export const CRITICALITY_HEADER = "mesh-criticality";

/** Says when a refused call may be tried again: milliseconds, or -1 for never (gRFC A6). */
export const PUSHBACK_HEADER = "grpc-retry-pushback-ms";

/** How many attempts of the same call came before, if any did (gRFC A6). */
export const PREVIOUS_ATTEMPTS_HEADER = "grpc-previous-rpc-attempts";

/** Reads a header by its name in lower case, wherever headers are kept. */
export type ReadHeader = (name: string) => string | null | undefined;

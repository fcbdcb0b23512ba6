import { claimsIdentity, SERVICE_TOKEN_HEADER } from "../core/caller.ts";

/** Carries how much a call matters, from the first service of a request to the last. */
export const CRITICALITY_HEADER = "mesh-criticality";

/** Says when a refused call may be tried again: milliseconds, or -1 for never (gRFC A6). */
export const PUSHBACK_HEADER = "grpc-retry-pushback-ms";

/** How many attempts of the same call came before, if any did (gRFC A6). */
export const PREVIOUS_ATTEMPTS_HEADER = "grpc-previous-rpc-attempts";

/** Reads a header by its name in lower case, wherever headers are kept. */
export type ReadHeader = (name: string) => string | null | undefined;

const OF_CALLER = [
  "authorization",
  "baggage",
  CRITICALITY_HEADER,
  "mesh-operator-token",
  "tenant",
  "traceparent",
  "tracestate",
  "x-request-id",
];

// HTTP takes more than gRPC does.
const IN_METADATA = /^[\x20-\x7e]*$/;

/** What a caller from outside says of its call that goes along to the services behind; what gRPC cannot say is left behind. */
export function callerHeaders(header: Headers): Headers {
  return filtered(header, (name) => OF_CALLER.includes(name));
}

/** What a caller from outside says of its call to this very process: of who calls also what is to be refused. */
export function arrivingHeaders(header: Headers): Headers {
  return filtered(
    header,
    (name) => OF_CALLER.includes(name) || name === SERVICE_TOKEN_HEADER || claimsIdentity(name),
  );
}

function filtered(header: Headers, goesAlong: (name: string) => boolean): Headers {
  return new Headers([...header].filter(([name, value]) => goesAlong(name) && IN_METADATA.test(value)));
}

const OF_METHOD = ["deprecation", "link", "sunset"];

/**
 * What an answer says of itself, in headers and trailers that are the mesh's own, such as `mesh-degraded`, and of its method,
 * which may be about to go.
 */
export function answerHeaders(...said: readonly Headers[]): Headers {
  const goesAlong = ([name]: [string, string]) => name.startsWith("mesh-") || OF_METHOD.includes(name);
  return new Headers(said.flatMap((headers) => [...headers].filter(goesAlong)));
}

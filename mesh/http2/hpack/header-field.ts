/**
 * How a field is written (RFC 7541, section 6): `index` inserts it into the dynamic table, `literal` does not, `never`
 * forbids every hop to the end to do so.
 */
export type Indexing = "index" | "literal" | "never";

/** A header's name, in lower case, and its value; both hold one character per octet (latin1). */
export interface HeaderField {
  readonly name: string;
  readonly value: string;
  /** Defaults to what {@link indexingOf} says of the name. Decoded fields have it if their sender said `never`. */
  readonly indexing?: Indexing;
  /** Set by the decoder: no header of HTTP/2 may have such a name or value (RFC 9113, section 8.2.1). */
  readonly isIllegal?: boolean;
}

/** Whoever can guess at a secret beside it could test the guess by the size of a block (RFC 7541, section 7.1). */
const SECRET = [
  "authorization",
  "cookie",
  "mesh-operator-token",
  "mesh-service-token",
  "proxy-authorization",
  "set-cookie",
  "x-api-key",
  "x-auth-token",
  "x-csrf-token",
  "x-xsrf-token",
];

/** What differs from call to call would only drive out of the table what does not. */
const CHANGING = [
  "age",
  "b3",
  "baggage",
  "content-length",
  "content-range",
  "date",
  "etag",
  "expires",
  "grpc-message",
  "grpc-previous-rpc-attempts",
  "grpc-retry-pushback-ms",
  "grpc-status-details-bin",
  "grpc-tags-bin",
  "grpc-timeout",
  "grpc-trace-bin",
  "connect-timeout-ms",
  "idempotency-key",
  "if-modified-since",
  "if-none-match",
  "last-modified",
  "range",
  "traceparent",
  "tracestate",
  "x-b3-parentspanid",
  "x-b3-spanid",
  "x-b3-traceid",
  "x-correlation-id",
  "x-request-id",
];

const INDEXINGS: ReadonlyMap<string, Indexing> = new Map([
  ...SECRET.map((name) => [name, "never"] as const),
  ...CHANGING.map((name) => [name, "literal"] as const),
]);

/** How a field of this name is written unless it says so itself: secrets `never`, what changes `literal`, else `index`. */
export function indexingOf(name: string): Indexing {
  return INDEXINGS.get(name) ?? "index";
}

/** True for the names that {@link indexingOf} has a word of its own for. */
export function hasOwnIndexing(name: string): boolean {
  return INDEXINGS.has(name);
}

const OVERHEAD_BYTES = 32;

/** What a field counts for in tables and in header lists, in bytes (RFC 7541, section 4.1). */
export function fieldBytes({ name, value }: HeaderField): number {
  return name.length + value.length + OVERHEAD_BYTES;
}

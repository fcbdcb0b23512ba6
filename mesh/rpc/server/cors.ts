import { cors as connect } from "@connectrpc/connect";
import type { RequestHandler } from "./port.ts";

/** Lets pages of other origins call. */
export interface Cors {
  /** Says in the answer what the page may see of it. True if the request was a preflight, which is answered with that. */
  answers(...args: Parameters<RequestHandler>): boolean;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].join(", ");
const REQUEST_HEADERS = [
  ...connect.allowedHeaders,
  "Authorization",
  "Baggage",
  "Idempotency-Key",
  "If-None-Match",
  "Request-Timeout",
  "Tenant",
  "Traceparent",
  "Tracestate",
  "X-Request-Id",
].join(", ");
const RESPONSE_HEADERS = [
  ...connect.exposedHeaders,
  "Allow",
  "ETag",
  "Mesh-Degraded",
  "RateLimit",
  "RateLimit-Policy",
  "Retry-After",
  "Trailer-Mesh-Degraded",
].join(", ");
// What most browsers allow.
const MAX_AGE_S = 7_200;

/** CORS for these origins, such as `https://shop.example`, or `*` for any; for all protocols of a port alike. */
export function cors(origins: readonly string[]): Cors {
  const isAny = origins.includes("*");
  return {
    answers(request, response) {
      const { origin } = request.headers;
      response.setHeader("vary", "origin");
      if (typeof origin !== "string" || !(isAny || origins.includes(origin))) return false;
      response.setHeader("access-control-allow-origin", isAny ? "*" : origin);
      response.setHeader("access-control-expose-headers", RESPONSE_HEADERS);
      if (request.method !== "OPTIONS" || !request.headers["access-control-request-method"]) return false;
      response.setHeader("access-control-allow-methods", METHODS);
      response.setHeader("access-control-allow-headers", REQUEST_HEADERS);
      response.setHeader("access-control-max-age", String(MAX_AGE_S));
      response.statusCode = 204;
      response.end();
      return true;
    },
  };
}

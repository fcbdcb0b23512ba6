import { v5, v7 } from "uuid";

/** A new UUIDv7 (RFC 9562): unique, and sorted by time. */
export function newId(): string {
  return v7();
}

const WEFT_NAMESPACE = "6f1d9f3c-5a0e-4b7e-9f57-0d1c8b6a2e34";

/** The same UUIDv5 (RFC 9562) for the same parts, so that a repeated step makes the same id. */
export function derivedId(...parts: readonly string[]): string {
  return v5(JSON.stringify(parts), WEFT_NAMESPACE);
}

// What the driver says of a connection, and PostgreSQL's classes 08 (connection), 53 (resources) and 57P (shutdown and
// start-up): nothing else uses these codes, as sockets do theirs.
const AWAY = /^(CONNECTION_\w+|CONNECT_TIMEOUT|08\w{3}|53\w{3}|57P0[1-5])$/;

// Serialization failure, deadlock, lock not available.
const CONFLICT = /^(40001|40P01|55P03)$/;

/** True if the error can only come of a database that is away, whoever has thrown it. */
export function isStoreAway(error: unknown): boolean {
  return AWAY.test(codeOf(error));
}

/** True if transactions got into each other's way, so that the same again may well succeed. */
export function isConflict(error: unknown): boolean {
  return CONFLICT.test(codeOf(error));
}

/** True if a statement took longer than it may. */
export function isTimeout(error: unknown): boolean {
  return codeOf(error) === "57014";
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : "";
}

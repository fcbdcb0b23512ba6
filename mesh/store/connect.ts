import postgres from "postgres";

/** A pool of connections to a service's own database. */
export type Sql = postgres.Sql<{ readonly int8: number }>;

/** One connection on which a statement can run: the pool, or the transaction that is open. */
export type Queries = postgres.ISql<{ readonly int8: number }>;

/** How a service reaches its database. */
export interface StoreOptions {
  readonly url: string;
  /** Shown in `pg_stat_activity`. */
  readonly name: string;
  /** Connections at most, shared by RPCs, handlers and relay. Defaults to 8. */
  readonly maxConnections?: number;
}

const STATEMENT_TIMEOUT_MS = 15_000;
const CONNECT_TIMEOUT_S = 5;

const array = (oid: number) => ({
  to: oid,
  from: [],
  serialize: (values: readonly (string | number)[]) =>
    `{${values.map((value) => `"${String(value).replace(/["\\]/g, "\\$&")}"`).join()}}`,
  parse: (raw: string) => raw,
});

/** Arrays as parameters, by the oids of `pg_type`. None is read back. */
const ARRAYS = { int4Array: array(1007), textArray: array(1009), int8Array: array(1016) };

/**
 * Opens a pool; connections are made when needed and made again when lost. A count or an amount beyond what a number
 * holds exactly is an error, not a wrong number.
 */
export function connect({ url, name, maxConnections = 8 }: StoreOptions): Sql {
  return postgres(url, {
    max: maxConnections,
    connect_timeout: CONNECT_TIMEOUT_S,
    backoff: (retries: number) => Math.min(0.05 * 2 ** retries, 1) * (0.5 + Math.random() / 2),
    onnotice: () => {},
    connection: { application_name: name, statement_timeout: STATEMENT_TIMEOUT_MS },
    // The driver's own question about types rejects where nobody can catch it if the connection is lost just then; the
    // arrays that we use are told below.
    fetch_types: false,
    types: {
      ...ARRAYS,
      int8: {
        to: 20,
        from: [20],
        serialize: (value: number) => String(value),
        parse: (raw: string) => {
          const value = Number(raw);
          if (!Number.isSafeInteger(value))
            throw new RangeError(`${raw} is beyond what a number holds exactly`);
          return value;
        },
      },
    },
  });
}

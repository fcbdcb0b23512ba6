import type { Queries } from "../../mesh/store/connect.ts";
import type { Tx } from "../../mesh/store/transaction.ts";
import type { Customer, Role, StoredCustomer } from "./customer.ts";

interface CustomerRow {
  readonly customer_id: string;
  readonly email: string;
  readonly display_name: string;
  readonly role: Role;
  readonly created_at: Date;
}

function toCustomer(row: CustomerRow): StoredCustomer {
  return {
    customerId: row.customer_id,
    email: row.email,
    displayName: row.display_name,
    role: row.role,
    createdAt: row.created_at,
  };
}

function columns(sql: Queries) {
  return sql`customer_id, email, display_name, role, created_at`;
}

/** The customer with this id; undefined if there is none. */
export async function findCustomer(sql: Queries, customerId: string): Promise<StoredCustomer | undefined> {
  const [row] = await sql<CustomerRow[]>`
    SELECT ${columns(sql)} FROM customer WHERE customer_id = ${customerId}`;
  return row && toCustomer(row);
}

/** A customer, as far as the events of it tell. */
export interface CustomerVersion {
  readonly customerId: string;
  /** The number of the customer's last event. */
  readonly version: number;
}

/** Who is a customer and was announced, by id after `after`. */
export async function listCustomerIds(
  sql: Queries,
  { stream, after, limit }: { stream: string; after: string; limit: number },
): Promise<CustomerVersion[]> {
  return sql<CustomerVersion[]>`
    SELECT k.key AS "customerId", k.last_seq AS version
    FROM event_key k JOIN customer c ON c.customer_id = k.key
    WHERE k.stream = ${stream} AND k.key > ${after} ORDER BY k.key LIMIT ${limit}`;
}

/** Who has an address, with what is kept of the password; undefined if nobody has it. */
export async function findAccount(
  sql: Queries,
  email: string,
): Promise<{ readonly customer: StoredCustomer; readonly passwordHash: string } | undefined> {
  const [row] = await sql<(CustomerRow & { password_hash: string })[]>`
    SELECT ${columns(sql)}, password_hash FROM customer WHERE email = ${email}`;
  return row && { customer: toCustomer(row), passwordHash: row.password_hash };
}

/** Adds a customer. Undefined if the address or the id is taken. */
export async function insertCustomer(
  tx: Tx,
  { customerId, email, displayName, role }: Customer,
  passwordHash: string,
): Promise<StoredCustomer | undefined> {
  const [row] = await tx<CustomerRow[]>`
    INSERT INTO customer (customer_id, email, display_name, role, password_hash)
    VALUES (${customerId}, ${email}, ${displayName}, ${role}, ${passwordHash})
    ON CONFLICT DO NOTHING RETURNING ${columns(tx)}`;
  return row && toCustomer(row);
}

/** A key as JSON (RFC 7517); the store does not look into it. */
export type Jwk = Readonly<Record<string, unknown>>;

/** A signing key without its private part. */
export interface SigningKey {
  readonly number: number;
  readonly kid: string;
  readonly signsFrom: Date;
  readonly publicJwk: Jwk;
}

/** The signing keys in the order of their numbers. */
export async function findSigningKeys(sql: Queries): Promise<SigningKey[]> {
  const rows = await sql<{ number: number; kid: string; signs_from: Date; public_jwk: Jwk }[]>`
    SELECT number, kid, signs_from, public_jwk FROM signing_key ORDER BY number`;
  return rows.map(({ number, kid, signs_from, public_jwk }) => ({
    number,
    kid,
    signsFrom: signs_from,
    publicJwk: public_jwk,
  }));
}

/** The private part of a signing key; undefined if there is no such key. */
export async function findPrivateKey(sql: Queries, kid: string): Promise<Jwk | undefined> {
  const [row] = await sql<{ private_jwk: Jwk }[]>`SELECT private_jwk FROM signing_key WHERE kid = ${kid}`;
  return row?.private_jwk;
}

/** Adds a signing key, unless there is one with its number. */
export async function insertSigningKey(
  sql: Queries,
  { number, kid, signsFrom, publicJwk, privateJwk }: SigningKey & { readonly privateJwk: Jwk },
): Promise<void> {
  await sql`
    INSERT INTO signing_key (number, kid, signs_from, public_jwk, private_jwk)
    VALUES (${number}, ${kid}, ${signsFrom}, ${JSON.stringify(publicJwk)}::text::jsonb,
            ${JSON.stringify(privateJwk)}::text::jsonb)
    ON CONFLICT (number) DO NOTHING`;
}

/** Has a signing key sign from this time on, unless it signs from an earlier one. */
export async function bringForward(sql: Queries, number: number, signsFrom: Date): Promise<void> {
  await sql`UPDATE signing_key SET signs_from = LEAST(signs_from, ${signsFrom}) WHERE number = ${number}`;
}

/** Deletes the signing keys with these numbers, and returns how many there were. */
export async function deleteSigningKeys(tx: Tx, numbers: readonly number[]): Promise<number> {
  const { count } = await tx`DELETE FROM signing_key WHERE number = ANY (${[...numbers]})`;
  return count;
}

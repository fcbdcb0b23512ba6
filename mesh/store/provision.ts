import { connect } from "./connect.ts";

/** A database to have, owned by a role of the same name. No role made here is let into the database of another. */
export interface DatabaseSpec {
  /** Lower-case letters, digits and underscores. */
  readonly name: string;
  readonly password: string;
}

/**
 * Makes sure that a server has this database and its role, with this password, and returns the URL that the role
 * reaches it by. Safe to call again, and from several processes at once.
 */
export async function provision(adminUrl: string, { name, password }: DatabaseSpec): Promise<string> {
  if (!/^[a-z][a-z0-9_]{0,62}$/.test(name)) throw new Error(`"${name}" cannot be the name of a database`);
  const sql = connect({ url: adminUrl, name: "weft-provision", maxConnections: 1 });
  try {
    // CREATE DATABASE runs in no transaction, so the lock is the session's; it goes with the connection.
    await sql`SELECT pg_advisory_lock(hashtext('weft-provision'))`;
    const literal = `'${password.replaceAll("'", "''")}'`;
    const [role] = await sql`SELECT 1 FROM pg_roles WHERE rolname = ${name}`;
    // Who is no superuser may make roles, and may not so much as mention what only superusers have in changing one.
    const what = role
      ? `ALTER ROLE ${name}`
      : `CREATE ROLE ${name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE`;
    await sql.unsafe(`${what} PASSWORD ${literal}`);
    const [database] = await sql`SELECT 1 FROM pg_database WHERE datname = ${name}`;
    if (!database) {
      // On servers that are not ours the administrator may be no superuser: then it must be a member of the new owner.
      await sql.unsafe(`GRANT ${name} TO CURRENT_USER`);
      await sql.unsafe(`CREATE DATABASE ${name} OWNER ${name}`);
    }
    await sql.unsafe(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`);
  } finally {
    await sql.end();
  }
  const url = new URL(adminUrl);
  url.username = name;
  url.password = encodeURIComponent(password);
  url.pathname = `/${name}`;
  return url.href;
}

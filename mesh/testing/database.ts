import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { connect } from "../store/connect.ts";
import { provision } from "../store/provision.ts";
import { atEnd } from "./at-end.ts";

/** An empty database of its own. */
export interface TestDatabase {
  /** As the role that owns it and reaches nothing else. */
  readonly url: string;
  /** Removes it, whoever is connected to it. Safe to call twice. */
  drop(): Promise<void>;
}

/** Makes an empty database in the run's PostgreSQL; it is dropped at the end of the test, or of the test file. */
export async function testDatabase(): Promise<TestDatabase> {
  const adminUrl = inject("postgresUrl");
  const name = `test_${randomBytes(6).toString("hex")}`;
  const url = await provision(adminUrl, { name, password: randomBytes(12).toString("hex") });
  const drop = async () => {
    const sql = connect({ url: adminUrl, name: "test-drop", maxConnections: 1 });
    await sql.unsafe(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await sql.unsafe(`DROP ROLE IF EXISTS ${name}`);
    await sql.end();
  };
  atEnd(drop);
  return { url, drop };
}

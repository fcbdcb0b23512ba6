import type { Sql } from "../../mesh/store/connect.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import type { Customer } from "./customer.ts";
import { customerRegistered } from "./events.ts";
import type { Passwords } from "./passwords.ts";
import { findCustomer, insertCustomer } from "./store.ts";

const CUSTOMERS: readonly (Customer & { readonly password: string })[] = [
  {
    customerId: "cust-ada",
    email: "ada@example.com",
    displayName: "Ada",
    role: "customer",
    password: "ada-demo",
  },
  {
    customerId: "cust-grace",
    email: "grace@example.com",
    displayName: "Grace",
    role: "customer",
    password: "grace-demo",
  },
  {
    customerId: "cust-ops",
    email: "ops@example.com",
    displayName: "Operator",
    role: "operator",
    password: "ops-demo",
  },
];

/** Puts the well-known customers in; who is there stays as it is, and costs no hash. */
export async function seedDemo(sql: Sql, passwords: Passwords): Promise<void> {
  for (const { password, ...customer } of CUSTOMERS) {
    if (await findCustomer(sql, customer.customerId)) continue;
    const passwordHash = await passwords.hash(password);
    await transaction(sql, async (tx) => {
      if (await insertCustomer(tx, customer, passwordHash)) await customerRegistered(tx, customer);
    });
  }
}

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  CreateCustomerResponseSchema,
  CustomerService,
} from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { currentWork } from "../../mesh/core/work.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { type Customer, customerNotFound, emailTaken, invalidCredentials, sameEmail } from "./customer.ts";
import { customerRegistered } from "./events.ts";
import { toMessage } from "./messages.ts";
import type { Passwords } from "./passwords.ts";
import { findAccount, findCustomer, insertCustomer } from "./store.ts";
import type { IssueToken } from "./token.ts";

/** The RPCs of CustomerService. */
export function customerService(
  sql: Sql,
  passwords: Passwords,
  issueToken: IssueToken,
): ServiceImpl<typeof CustomerService> {
  return {
    async createCustomer(request) {
      const { email, displayName, password, requestId } = request;
      // Takes long, so no transaction is open yet.
      const passwordHash = await passwords.hash(password, currentWork()?.signal);
      const customer: Customer = {
        customerId: newId(),
        email: sameEmail(email),
        displayName,
        role: "customer",
      };
      return transaction(sql, (tx) =>
        once(tx, CustomerService.method.createCustomer, { caller: "", requestId, request }, async () => {
          const stored = await insertCustomer(tx, customer, passwordHash);
          if (!stored) throw emailTaken();
          await customerRegistered(tx, stored);
          return create(CreateCustomerResponseSchema, { customer: toMessage(stored) });
        }),
      );
    },

    async getCustomer({ customerId }) {
      const customer = await findCustomer(sql, customerId);
      if (!customer) throw customerNotFound(customerId);
      return { customer: toMessage(customer) };
    },

    async signIn({ email, password }) {
      const account = await findAccount(sql, sameEmail(email));
      const isRight = await passwords.matches(password, account?.passwordHash, currentWork()?.signal);
      if (!account || !isRight) throw invalidCredentials();
      const { accessToken, expiresAt } = await issueToken(account.customer);
      return { accessToken, expireTime: timestampFromDate(expiresAt) };
    },
  };
}

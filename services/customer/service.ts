import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import {
  CreateCustomerResponseSchema,
  CustomerService,
} from "../../gen/shop/customer/v1/customer_service_pb.ts";
import { eventContract } from "../../mesh/contract/event.ts";
import { newId } from "../../mesh/core/ids.ts";
import { currentWork } from "../../mesh/core/work.ts";
import { cutPage, pageSize, readPageToken } from "../../mesh/rpc/server/page.ts";
import type { Sql } from "../../mesh/store/connect.ts";
import { once } from "../../mesh/store/once.ts";
import { transaction } from "../../mesh/store/transaction.ts";
import { type Customer, customerNotFound, emailTaken, sameEmail } from "./customer.ts";
import { customerRegistered } from "./events.ts";
import { MIN_AHEAD_MS } from "./key-schedule.ts";
import { toMessage } from "./messages.ts";
import type { Passwords } from "./passwords.ts";
import type { SignInLimit } from "./sign-in-limit.ts";
import type { SigningKeys } from "./signing-keys.ts";
import { findAccount, findCustomer, insertCustomer, listCustomerIds } from "./store.ts";
import type { IssueToken } from "./token.ts";

/** What the RPCs work with. */
export interface CustomerServiceParts {
  readonly sql: Sql;
  readonly passwords: Passwords;
  readonly issueToken: IssueToken;
  readonly signIns: SignInLimit;
  readonly keys: SigningKeys;
}

/** The RPCs of CustomerService. */
export function customerService({
  sql,
  passwords,
  issueToken,
  signIns,
  keys,
}: CustomerServiceParts): ServiceImpl<typeof CustomerService> {
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

    async listCustomerIds({ pageSize: asked, pageToken }) {
      const [after = ""] = readPageToken(pageToken, 1) ?? [];
      const size = pageSize(asked);
      const { stream } = eventContract(CustomerRegisteredSchema);
      const found = await listCustomerIds(sql, { stream, after, limit: size + 1 });
      const [customers, nextPageToken] = cutPage(found, size, ({ customerId }) => [customerId]);
      return { customers, nextPageToken };
    },

    async signIn({ email, password }) {
      const address = sameEmail(email);
      const customer = await signIns.attempt(address, async () => {
        const account = await findAccount(sql, address);
        const isRight = await passwords.matches(password, account?.passwordHash, currentWork()?.signal);
        return isRight ? account?.customer : undefined;
      });
      const { accessToken, expiresAt } = await issueToken(customer);
      return { accessToken, expireTime: timestampFromDate(expiresAt) };
    },

    async rotateSigningKeys({ signAfter }) {
      const { kid, signsFrom } = await keys.rotate(signAfter ? durationMs(signAfter) : MIN_AHEAD_MS);
      return { kid, signTime: timestampFromDate(signsFrom) };
    },
  };
}

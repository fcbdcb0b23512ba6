import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type Customer as CustomerMessage,
  CustomerRole,
  CustomerSchema,
} from "../../gen/shop/customer/v1/customer_pb.ts";
import type { StoredCustomer } from "./customer.ts";

const ROLES = { customer: CustomerRole.CUSTOMER, operator: CustomerRole.OPERATOR } as const;

/** A customer as the contract says it. */
export function toMessage({ createdAt, role, ...customer }: StoredCustomer): CustomerMessage {
  return create(CustomerSchema, { ...customer, role: ROLES[role], createTime: timestampFromDate(createdAt) });
}

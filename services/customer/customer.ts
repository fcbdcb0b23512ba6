import { CustomerError, CustomerErrorSchema } from "../../gen/shop/customer/v1/customer_error_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";

/** The refusals of this service. */
export const refuse = refusals<CustomerError>(CustomerErrorSchema);

/** What a customer may do. */
export type Role = "customer" | "operator";

/** One who buys, or runs the shop. */
export interface Customer {
  readonly customerId: string;
  /** In lower case. */
  readonly email: string;
  readonly displayName: string;
  readonly role: Role;
}

/** A customer as it is kept, without what proves who it is. */
export interface StoredCustomer extends Customer {
  readonly createdAt: Date;
}

/** An address as it is kept and compared: nobody has two accounts that differ in capitals only. */
export function sameEmail(email: string): string {
  return email.toLowerCase();
}

/** The refusal of an id that names no customer. */
export function customerNotFound(customerId: string) {
  const metadata = { customer_id: customerId };
  return refuse(CustomerError.CUSTOMER_NOT_FOUND, `there is no customer ${customerId}`, { metadata });
}

/** The refusal of an address that has an account. */
export function emailTaken() {
  return refuse(CustomerError.EMAIL_TAKEN, "somebody has registered with this address already");
}

/** The refusal of a sign-in. The same for an unknown address and for a wrong password. */
export function invalidCredentials() {
  return refuse(CustomerError.INVALID_CREDENTIALS, "address and password do not belong together");
}

/** The refusal of a sign-in to an address that was tried too often. The same whether anybody has it or not. */
export function signInBlocked(retryDelayMs: number) {
  return refuse(CustomerError.SIGN_IN_BLOCKED, "too many wrong passwords for this address; try again later", {
    retryDelayMs,
  });
}

/** The refusal of a password that would have to wait for too long to be checked. */
export function tooManySignIns() {
  return refuse(
    CustomerError.TOO_MANY_SIGN_INS,
    "too many passwords are being checked; try again in a moment",
  );
}

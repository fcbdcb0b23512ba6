import { SignJWT } from "jose";
import type { Clock } from "../../mesh/core/clock.ts";
import type { Customer } from "./customer.ts";
import { TOKEN_LIFE_MS } from "./key-schedule.ts";
import { ALGORITHM, type SigningKeys } from "./signing-keys.ts";

/** A token, and when it ends. */
export interface Token {
  readonly accessToken: string;
  readonly expiresAt: Date;
}

/** Issues the token of a customer who has proved who it is. */
export type IssueToken = (customer: Customer) => Promise<Token>;

/** Makes the issuer of tokens: a JWT (RFC 7519) that says who, in which role, for whom, and until when. */
export function tokenIssuer(
  { issuer, audience }: { readonly issuer: string; readonly audience: string },
  keys: SigningKeys,
  clock: Clock,
): IssueToken {
  return async ({ customerId, role }) => {
    const { kid, privateKey } = await keys.current();
    // A token knows no parts of a second.
    const issuedAtMs = Math.floor(clock.date().getTime() / 1000) * 1000;
    const expiresAt = new Date(issuedAtMs + TOKEN_LIFE_MS);
    const accessToken = await new SignJWT({ role })
      .setProtectedHeader({ alg: ALGORITHM, typ: "JWT", kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(customerId)
      .setIssuedAt(new Date(issuedAtMs))
      .setExpirationTime(expiresAt)
      .sign(privateKey);
    return { accessToken, expiresAt };
  };
}

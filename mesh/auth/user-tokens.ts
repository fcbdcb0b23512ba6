import { createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from "jose";
import { MeshError } from "../../gen/mesh/error/v1/error_pb.ts";
import { refuseByMesh } from "../contract/reasons.ts";
import type { Caller } from "../core/caller.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { keptProofs } from "./kept-proofs.ts";

/** What tokens of people must say. */
export interface UserTokenOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly clockSkewMs: number;
  readonly keys: JWTVerifyGetKey;
  readonly clock?: Clock;
}

/** Who has signed in, by the token. Throws TOKEN_INVALID, or DEPENDENCY_UNAVAILABLE if the keys cannot be had. */
export type VerifyUser = (token: string) => Promise<Caller>;

const ALGORITHMS = ["ES256"];
const KEYS_MAX_AGE_MS = 300_000;
const COOLDOWN_MS = 5_000;
const KEYS_TIMEOUT_MS = 2_000;

/**
 * The keys at a URL, kept for 5 minutes. A key that is not among them makes it look again, once in 5 seconds at most, so
 * that made-up keys do not become questions to the issuer.
 */
export function remoteKeys(url: string): JWTVerifyGetKey {
  return createRemoteJWKSet(new URL(url), {
    cacheMaxAge: KEYS_MAX_AGE_MS,
    cooldownDuration: COOLDOWN_MS,
    timeoutDuration: KEYS_TIMEOUT_MS,
  });
}

/**
 * Checks the tokens of people (RFC 8725): ES256 and nothing else, whatever a token says of itself; signed by a key of the
 * issuer, for us, begun and not ended. One that has been found good is not looked at again for 5 seconds.
 */
export function userTokens(options: UserTokenOptions): VerifyUser {
  const { issuer, audience, clockSkewMs, keys, clock = systemClock } = options;
  const proofs = keptProofs(clock);
  return async (token) => {
    const known = proofs.find(token);
    if (known) return known;
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        typ: "JWT",
        clockTolerance: clockSkewMs / 1_000,
        currentDate: clock.date(),
        requiredClaims: ["sub", "iat", "exp"],
      });
      const { sub, role, exp = 0 } = payload;
      if (!sub || (role !== "customer" && role !== "operator")) throw invalidToken();
      const caller = { kind: role, id: sub, token } as const;
      proofs.keep(token, caller, exp * 1_000 + clockSkewMs);
      return caller;
    } catch (error) {
      throw refusalFor(error);
    }
  };
}

/** The refusal of a token. It does not say what is wrong with it: who made it up would learn. */
export function invalidToken(cause?: unknown) {
  return refuseByMesh(MeshError.TOKEN_INVALID, "the token proves nothing here; sign in again", { cause });
}

const OF_THE_TOKEN = new Set([
  errors.JWTExpired.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTInvalid.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
  errors.JWKSNoMatchingKey.code,
  errors.JWKSMultipleMatchingKeys.code,
]);

function refusalFor(error: unknown): Error {
  if (error instanceof errors.JOSEError && OF_THE_TOKEN.has(error.code)) return invalidToken(error);
  if (error instanceof errors.JOSEError || error instanceof TypeError)
    return refuseByMesh(MeshError.DEPENDENCY_UNAVAILABLE, "who calls cannot be checked now; try again", {
      cause: error,
    });
  return error as Error;
}

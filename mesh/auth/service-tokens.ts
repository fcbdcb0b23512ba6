import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { decodeJwt, errors, importJWK, type JWK, jwtVerify, SignJWT } from "jose";
import { type Caller, SERVICE_TOKEN_HEADER } from "../core/caller.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { keptProofs } from "./kept-proofs.ts";
import { invalidToken } from "./user-tokens.ts";

/** Which service calls, by its token. Throws TOKEN_INVALID. */
export type VerifyService = (token: string, called: DescService) => Promise<Caller>;

const ALGORITHM = "EdDSA";
// A type of its own, so that no token of one kind passes for one of the other.
const TYPE = "mesh-service+jwt";
const LIFE_MS = 60_000;
// A token is used for the first half of its life, so that none ends on its way.
const USED_FOR_MS = LIFE_MS / 2;

/**
 * Adds to each call a token that says which service calls, for the called service only: whoever is called cannot pass it
 * on elsewhere. It is signed with the service's own key and good for a minute.
 */
export function signCalls(service: string, privateJwk: JWK, clock: Clock = systemClock): Interceptor {
  const key = importJWK(privateJwk, ALGORITHM, { extractable: false });
  // Whether it can be read is for the first call to say, which awaits it.
  key.catch(() => {});
  const tokens = new Map<string, { readonly token: Promise<string>; readonly untilMs: number }>();

  function tokenFor(audience: string): Promise<string> {
    const known = tokens.get(audience);
    if (known && clock.now() < known.untilMs) return known.token;
    const token = sign(audience);
    tokens.set(audience, { token, untilMs: clock.now() + USED_FOR_MS });
    return token;
  }

  async function sign(audience: string): Promise<string> {
    const nowMs = clock.date().getTime();
    return new SignJWT()
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
      .setIssuer(service)
      .setSubject(service)
      .setAudience(audience)
      .setIssuedAt(new Date(nowMs))
      .setExpirationTime(new Date(nowMs + LIFE_MS))
      .sign(await key);
  }

  return (next) => async (request) => {
    if (!request.service.typeName.startsWith("grpc."))
      request.header.set(SERVICE_TOKEN_HEADER, await tokenFor(request.service.typeName));
    return next(request);
  };
}

/**
 * Checks the tokens of services, each with the key of the service that it names. One that has been found good is not looked at
 * again for 5 seconds.
 */
export function serviceTokens(
  publicJwks: ReadonlyMap<string, JWK>,
  clockSkewMs: number,
  clock: Clock = systemClock,
): VerifyService {
  const keys = new Map<string, ReturnType<typeof importJWK>>();
  const proofs = keptProofs(clock);

  function keyOf(service: string): ReturnType<typeof importJWK> {
    const jwk = publicJwks.get(service);
    if (!jwk) throw new errors.JWKSNoMatchingKey();
    const key = keys.get(service) ?? importJWK(jwk, ALGORITHM);
    keys.set(service, key);
    return key;
  }

  return async (token, called) => {
    // It is good for one service alone.
    const name = `${called.typeName} ${token}`;
    const known = proofs.find(name);
    if (known) return known;
    try {
      // Said by nobody yet: it only chooses the key that must have signed it.
      const { iss: service } = decodeJwt(token);
      if (typeof service !== "string") throw new errors.JWTInvalid("names no service");
      const { payload } = await jwtVerify(token, await keyOf(service), {
        issuer: service,
        audience: called.typeName,
        algorithms: [ALGORITHM],
        typ: TYPE,
        clockTolerance: clockSkewMs / 1_000,
        currentDate: clock.date(),
        requiredClaims: ["exp", "iat"],
      });
      const caller = { kind: "service", id: service } as const;
      proofs.keep(name, caller, (payload.exp ?? 0) * 1_000 + clockSkewMs);
      return caller;
    } catch (error) {
      throw error instanceof errors.JOSEError ? invalidToken(error) : error;
    }
  };
}

/** The private key in a file. Throws if there is none. */
export function readPrivateKey(file: string): JWK {
  return JSON.parse(readFileSync(file, "utf8")) as JWK;
}

/** The public keys of a folder, by service: `order.json` is order's. */
export function readPublicKeys(folder: string): Map<string, JWK> {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return new Map(
    files.map((name) => [
      name.slice(0, -".json".length),
      JSON.parse(readFileSync(join(folder, name), "utf8")) as JWK,
    ]),
  );
}

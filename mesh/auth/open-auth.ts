import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { accessOf } from "../contract/access.ts";
import { currentWork } from "../core/work.ts";
import type { AccessRefusal } from "./access-refusal.ts";
import { enforceAccess } from "./enforce-access.ts";
import { readPrivateKey, readPublicKeys, serviceTokens, signCalls } from "./service-tokens.ts";
import type { AuthConfig } from "./settings.ts";
import { remoteKeys, userTokens } from "./user-tokens.ts";

/** Who may call a process, and how it proves who it is. */
export interface Auth {
  /** True if whoever proves nothing is let in to what is public only. */
  readonly isEnforced: boolean;
  /** The server's layer. Undefined if no token is read. */
  readonly access:
    | ((services: readonly DescService[], operators: { isOperator(header: Headers): boolean }) => Interceptor)
    | undefined;
  /** The client's layer that says for whom a call is made. */
  readonly identity: Interceptor;
  /** The client's layers that prove which service calls. None without a key. */
  readonly outgoing: readonly Interceptor[];
}

/** Reads the keys of a process. Throws if a setting that `enforce` needs is missing, or a key cannot be read. */
export function openAuth(
  service: string,
  config: AuthConfig,
  onRefused?: (method: DescMethod, refusal: AccessRefusal) => void,
): Auth {
  const { auth, jwksUrl, tokenIssuer: issuer, tokenAudience: audience, clockSkewMs } = config;
  const isEnforced = auth === "enforce";
  const outgoing = config.serviceKey === "" ? [] : [signCalls(service, readPrivateKey(config.serviceKey))];
  const common = { isEnforced, identity: identity(), outgoing };
  if (!isEnforced && jwksUrl === "") return { ...common, access: undefined };
  if (!URL.canParse(jwksUrl))
    throw new Error("MESH_AUTH=enforce needs MESH_JWKS_URL: where the keys are that tokens are checked with");
  const verifyUser = userTokens({ issuer, audience, clockSkewMs, keys: remoteKeys(jwksUrl) });
  const keys = config.serviceKeys === "" ? new Map() : readPublicKeys(config.serviceKeys);
  const verifyService = serviceTokens(keys, clockSkewMs);
  return {
    ...common,
    access: (services, { isOperator }) =>
      enforceAccess({
        services,
        verifyUser,
        verifyService,
        isOperator,
        isOpen: !isEnforced,
        ...(onRefused && { onRefused }),
      }),
  };
}

/**
 * Passes on the token of whoever the present work is done for, unless the call brings one. What is public is asked for in
 * nobody's name: its answer is the same for all, and may be kept for all.
 */
function identity(): Interceptor {
  const isPublic = new Map<DescMethod, boolean>();
  return (next) => (request) => {
    const token = currentWork()?.caller?.token;
    if (token === undefined || request.header.has("authorization")) return next(request);
    const { method } = request;
    const known = isPublic.get(method) ?? accessOf(method)?.level === "public";
    isPublic.set(method, known);
    if (!known) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

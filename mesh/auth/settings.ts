import { choice, integer, text } from "../core/config.ts";

/** The settings of who may call. */
export const authSettings = {
  /**
   * Whether callers must prove who they are. `off` lets in who proves nothing, which is for one's own machine; what a caller
   * proves counts there, too.
   */
  auth: choice("MESH_AUTH", ["enforce", "off"], "enforce"),
  /** Where the public keys are that tokens of people are checked with (RFC 7517). Needed with `enforce`; without it `off` reads no token. */
  jwksUrl: text("MESH_JWKS_URL", ""),
  /** Who must have issued the tokens of people. */
  tokenIssuer: text("TOKEN_ISSUER", "weft-shop"),
  /** Whom they must be for. */
  tokenAudience: text("TOKEN_AUDIENCE", "weft-shop"),
  /** How far the clock of who issued a token may differ from ours. */
  clockSkewMs: integer("MESH_CLOCK_SKEW_MS", 5_000, { max: 300_000 }),
  /** A file with the private key that this service signs its own tokens with (RFC 7517); empty for none: then it calls nobody's internal methods. */
  serviceKey: text("MESH_SERVICE_KEY", ""),
  /** A folder with the public key of each service that may call internal methods, as `<service>.json`; empty for none. */
  serviceKeys: text("MESH_SERVICE_KEYS", ""),
};

/** The settings of who may call, read. */
export interface AuthConfig {
  readonly auth: "enforce" | "off";
  readonly jwksUrl: string;
  readonly tokenIssuer: string;
  readonly tokenAudience: string;
  readonly clockSkewMs: number;
  readonly serviceKey: string;
  readonly serviceKeys: string;
}

/** Who has proved to be the one that a piece of work is done for. */
export interface Caller {
  readonly kind: "customer" | "operator" | "service";
  /** The customer's id, or the service's name. */
  readonly id: string;
  /** The proof, as it came: goes along with the calls that the work makes. A secret. Undefined for a service's, which is for one call. */
  readonly token?: string;
}

/** Carries the proof of which service calls. */
export const SERVICE_TOKEN_HEADER = "mesh-service-token";

/** Carries the token of operators. */
export const OPERATOR_TOKEN_HEADER = "mesh-operator-token";

// What applications and proxies name the headers in which they tell each other who calls. Nothing here reads one.
const CLAIMS =
  /^((x|mesh)-(caller|customer|principal|role|roles|user)(-(id|name|email|role|roles))?|(x-)?remote-user|x-(auth|auth-request|authenticated|forwarded)-(user|email|role|roles|groups|userid)|mesh-service(-(id|name))?)$/;

/** True for the name, in lower case, of a header that says who calls and proves nothing. */
export function claimsIdentity(name: string): boolean {
  return CLAIMS.test(name);
}

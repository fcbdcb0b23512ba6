import { keptStore, type Store } from "./store.ts";

/** A customer who has signed in. */
export interface Session {
  readonly customerId: string;
  /** The name as others see it, or the address while the name is not known. */
  readonly name: string;
  readonly accessToken: string;
  /** When the token ends, in milliseconds since 1970. */
  readonly endsAtMs: number;
}

/** Who has signed in; who it is stays known when the token has ended. */
export type SessionStore = Store<Session | undefined>;

/**
 * The session is kept in the tab's sessionStorage, so that a reload keeps it and closing the tab ends it. The page runs
 * scripts of its own origin only; a cookie would go along with what other sites have the browser ask of the shop.
 */
export function openSession(storage: Storage): SessionStore {
  return keptStore(storage, "weft.session", parse, undefined);
}

/** The token; undefined if there is none or it has ended. */
export function tokenOf(session: SessionStore): string | undefined {
  const { accessToken, endsAtMs = 0 } = session.get() ?? {};
  return endsAtMs > Date.now() ? accessToken : undefined;
}

/** Forgets a token that is not taken any more, unless another has taken its place. */
export function endToken(session: SessionStore, accessToken: string): void {
  const present = session.get();
  if (present?.accessToken === accessToken) session.set({ ...present, endsAtMs: 0 });
}

function parse(kept: unknown): Session | undefined {
  const { customerId, name, accessToken, endsAtMs } = kept as Partial<Session>;
  if (!customerId || !name || !accessToken || endsAtMs === undefined) return undefined;
  return { customerId, name, accessToken, endsAtMs };
}

/** Whom a token is about: the customer's id. The page only reads it; whether the token is true its services find out. */
export function subjectOf(accessToken: string): string {
  const [, claims = ""] = accessToken.split(".");
  const bytes = Uint8Array.from(atob(claims.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
    c.charCodeAt(0),
  );
  const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub: string };
  return sub;
}

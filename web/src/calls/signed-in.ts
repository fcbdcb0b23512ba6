import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { method as access, Level } from "../../../gen/mesh/auth/v1/auth_pb.ts";
import { endToken, type SessionStore, tokenOf } from "../session.ts";
import { reasonOf } from "./reason.ts";

/** Has the customer sign in, and resolves with the token; undefined if the customer would rather not. */
export type AskToSignIn = () => Promise<string | undefined>;

/**
 * A transport whose calls say who makes them, where the contract asks. A call that needs a token when there is none, or
 * whose token is not taken any more, waits until the customer has signed in and goes on from there. What anybody may call
 * goes without a token, so that one that has ended is in nobody's way.
 */
export function signedIn(inner: Transport, session: SessionStore, askToSignIn: AskToSignIn): Transport {
  async function withToken<T>(
    method: DescMethod,
    header: HeadersInit | undefined,
    send: (header: Headers) => Promise<T>,
  ): Promise<T> {
    const headers = new Headers(header);
    if (getOption(method, access).level === Level.PUBLIC) return send(headers);
    const token = tokenOf(session) ?? (await askToSignIn());
    if (token === undefined) throw notSignedIn();
    headers.set("authorization", `Bearer ${token}`);
    try {
      return await send(headers);
    } catch (error) {
      if (!isAboutToken(error)) throw error;
      endToken(session, token);
      const renewed = await askToSignIn();
      if (renewed === undefined) throw error;
      headers.set("authorization", `Bearer ${renewed}`);
      return send(headers);
    }
  }

  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      withToken(method, header, (headers) => inner.unary(method, signal, timeoutMs, headers, input, values)),
    stream: (method, signal, timeoutMs, header, input, values) =>
      withToken(method, header, (headers) => inner.stream(method, signal, timeoutMs, headers, input, values)),
  };
}

function isAboutToken(error: unknown): boolean {
  const reason = reasonOf(error);
  return reason === "TOKEN_MISSING" || reason === "TOKEN_INVALID";
}

/** The page's own refusal of a call whose caller did not want to sign in. */
function notSignedIn(): ConnectError {
  return new ConnectError("you are not signed in", Code.Unauthenticated);
}

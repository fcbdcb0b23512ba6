import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { type Delivery, DeliveryError, deliveryOf } from "../core/delivery.ts";

// What Node and undici say of a connection that was never there, or that takes no new calls.
const NOT_SENT =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_HTTP2_GOAWAY_SESSION)$/;
const LOST =
  /^(ECONNRESET|EPIPE|ETIMEDOUT|ERR_HTTP2_INVALID_STREAM|ERR_STREAM_DESTROYED|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_SESSION_ERROR|UND_ERR_SOCKET)$/;
const REFUSED = /NGHTTP2_REFUSED_STREAM/;
// What the fetch of Chromium, Firefox and Safari says of any failure of the network; how far the call came it does not
// tell. Error reporting that wraps fetch may add the host.
const LOST_IN_BROWSER =
  /^(failed to fetch|network error|networkerror when attempting to fetch resource\.|error in body stream|load failed|the network connection was lost\.)( \(.*\))?$/i;

/**
 * Says of a connection that failed what gRPC says of it: UNAVAILABLE, and how far the call came. Connect's transports
 * call the same thing aborted, canceled, internal or unknown, and a policy that retries UNAVAILABLE would pass it by.
 * Innermost, next to the transport.
 */
export function normaliseOutcomes(): Interceptor {
  return (next) => (request) => {
    const fail = (error: unknown): never => {
      if (request.signal.aborted || deliveryOf(error)) throw error;
      const delivery = deliveryBehind(error);
      if (!delivery) throw error;
      const cause = new DeliveryError(delivery, "the connection failed", error);
      throw new ConnectError(TEXT[delivery], Code.Unavailable, undefined, undefined, cause);
    };
    return next(request).then(
      (response) => (response.stream ? { ...response, message: failing(response.message, fail) } : response),
      fail,
    );
  };
}

const TEXT: Readonly<Record<Delivery, string>> = {
  NOT_SENT: "nobody listens there",
  REFUSED: "the call was refused unread",
  LOST: "the connection was lost",
};

function deliveryBehind(error: unknown): Delivery | undefined {
  for (let e = error, depth = 0; e instanceof Error && depth < 6; e = e.cause, depth++) {
    const { code, syscall } = e as { code?: unknown; syscall?: unknown };
    if (typeof code === "string") {
      if (NOT_SENT.test(code) || (code === "ETIMEDOUT" && syscall === "connect")) return "NOT_SENT";
      if (REFUSED.test(e.message)) return "REFUSED";
      if (LOST.test(code)) return "LOST";
    }
    if (e instanceof TypeError && LOST_IN_BROWSER.test(e.message)) return "LOST";
  }
  return undefined;
}

async function* failing<T>(messages: AsyncIterable<T>, fail: (error: unknown) => never): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    fail(error);
  }
}

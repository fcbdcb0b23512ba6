import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { DeliveryError } from "../core/delivery.ts";
import { manualClock } from "../testing/clock.ts";
import {
  messagesOf,
  scripted,
  statusError,
  streamRequest,
  type ToyResponse,
  textOf,
  through,
  toyMethod,
  unaryRequest,
} from "../testing/toy-calls.ts";
import { normaliseOutcomes } from "./normalise.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

const METHOD = toyMethod();

/** What comes out of a call whose transport fails with this error. */
async function normalised(error: unknown, signal = new AbortController().signal): Promise<unknown> {
  const { next } = scripted(manualClock(), [{ error }]);
  return through(
    [normaliseOutcomes()],
    next,
  )(unaryRequest(METHOD, { signal })).catch((thrown: unknown) => thrown);
}

/** An error as Node throws it. */
const nodeError = (message: string, code: string, syscall?: string) =>
  Object.assign(new Error(message), { code, ...(syscall !== undefined && { syscall }) });

/** An error as connect-node and connect-web make it of another. */
const connectError = (code: Code, cause: Error) =>
  new ConnectError(cause.message, code, undefined, undefined, cause);

/** An error as Node's fetch throws it. */
const fetchFailed = (cause: Error) => new TypeError("fetch failed", { cause });

const REFUSED = nodeError("connect ECONNREFUSED 127.0.0.1:8081", "ECONNREFUSED", "connect");
const NO_NAME = nodeError("getaddrinfo ENOTFOUND order.invalid", "ENOTFOUND", "getaddrinfo");
const RESET = nodeError("read ECONNRESET", "ECONNRESET", "read");

describe("what a transport says of a connection that failed is UNAVAILABLE, and how far the call came", () => {
  test.each<[string, unknown, Outcome["kind"]]>([
    ["connect-node: nobody listens", connectError(Code.Unavailable, REFUSED), "NOT_SENT"],
    ["connect-node: no such name", connectError(Code.Unavailable, NO_NAME), "NOT_SENT"],
    [
      "connect-node: the name server does not answer",
      connectError(Code.Unavailable, nodeError("getaddrinfo EAI_AGAIN", "EAI_AGAIN", "getaddrinfo")),
      "NOT_SENT",
    ],
    [
      "connect-node: no way there",
      connectError(Code.Internal, nodeError("connect EHOSTUNREACH", "EHOSTUNREACH", "connect")),
      "NOT_SENT",
    ],
    [
      "connect-node: nobody answers",
      connectError(Code.Unavailable, nodeError("connect ETIMEDOUT", "ETIMEDOUT", "connect")),
      "NOT_SENT",
    ],
    [
      "connect-node: every address of a name refuses",
      connectError(Code.Unavailable, Object.assign(new AggregateError([REFUSED]), { code: "ECONNREFUSED" })),
      "NOT_SENT",
    ],
    [
      "connect-node over HTTP/2: the session takes no more",
      connectError(Code.Internal, nodeError("New streams cannot be created", "ERR_HTTP2_GOAWAY_SESSION")),
      "NOT_SENT",
    ],
    // B7: aborted.
    ["connect-node: RST in the middle of a call", connectError(Code.Aborted, RESET), "LOST"],
    [
      "connect-node over HTTP/1.1: FIN before the answer",
      connectError(Code.Aborted, nodeError("socket hang up", "ECONNRESET")),
      "LOST",
    ],
    [
      "connect-node over HTTP/1.1: FIN within the answer",
      connectError(Code.Aborted, nodeError("aborted", "ECONNRESET")),
      "LOST",
    ],
    [
      "connect-node: the stream is gone",
      connectError(Code.Aborted, nodeError("Cannot call write", "ERR_STREAM_DESTROYED")),
      "LOST",
    ],
    [
      "connect-node over HTTP/2: the stream is gone",
      connectError(Code.Aborted, nodeError("The stream has been destroyed", "ERR_HTTP2_INVALID_STREAM")),
      "LOST",
    ],
    [
      "connect-node: a connection that stood times out",
      connectError(Code.Unavailable, nodeError("read ETIMEDOUT", "ETIMEDOUT", "read")),
      "LOST",
    ],
    // B7: internal.
    [
      "connect-node over HTTP/2: REFUSED_STREAM",
      connectError(
        Code.Internal,
        nodeError("Stream closed with error code NGHTTP2_REFUSED_STREAM", "ERR_HTTP2_STREAM_ERROR"),
      ),
      "REFUSED",
    ],
    ["fetch of Node: nobody listens", connectError(Code.Unknown, fetchFailed(REFUSED)), "NOT_SENT"],
    ["fetch of Node, as it is thrown: nobody listens", fetchFailed(REFUSED), "NOT_SENT"],
    ["fetch of Node: no such name", fetchFailed(NO_NAME), "NOT_SENT"],
    [
      "fetch of Node: nobody answers",
      fetchFailed(nodeError("Connect Timeout Error", "UND_ERR_CONNECT_TIMEOUT")),
      "NOT_SENT",
    ],
    ["fetch of Node: RST", fetchFailed(RESET), "LOST"],
    ["fetch of Node: FIN", fetchFailed(nodeError("other side closed", "UND_ERR_SOCKET")), "LOST"],
    [
      "fetch of Node: FIN within the answer",
      new TypeError("terminated", { cause: nodeError("other side closed", "UND_ERR_SOCKET") }),
      "LOST",
    ],
    ["fetch of Chromium", new TypeError("Failed to fetch"), "LOST"],
    ["fetch of Chromium, wrapped", connectError(Code.Unknown, new TypeError("Failed to fetch")), "LOST"],
    ["fetch of Chromium, within the answer", new TypeError("network error"), "LOST"],
    ["fetch of Firefox", new TypeError("NetworkError when attempting to fetch resource."), "LOST"],
    ["fetch of Firefox, within the answer", new TypeError("Error in body stream"), "LOST"],
    ["fetch of Safari", new TypeError("Load failed"), "LOST"],
    ["fetch of Safari, within the answer", new TypeError("The network connection was lost."), "LOST"],
    // Error reporting that wraps fetch adds the host.
    ["fetch of Chromium, with its host", new TypeError("Failed to fetch (shop.example)"), "LOST"],
    [
      "fetch of Firefox, with its host",
      new TypeError("NetworkError when attempting to fetch resource. (shop.example)"),
      "LOST",
    ],
  ])("%s", async (_, error, kind) => {
    const found = await normalised(error);
    expect(found).toBeInstanceOf(ConnectError);
    expect(found).toMatchObject({ code: Code.Unavailable });
    expect(outcomeOf(found)).toMatchObject({
      kind,
      code: Code.Unavailable,
      notProcessed: kind !== "LOST",
    });
    // For the log: what the transport said stands below.
    expect((found as ConnectError).cause).toMatchObject({ name: "DeliveryError", cause: error });
  });
});

describe("what is no failure of a connection is left as it is", () => {
  test.each<[string, unknown]>([
    ["an answer with a code", statusError(Code.Unavailable, { reason: "SHED" })],
    ["an answer whose text says ECONNREFUSED", new ConnectError("connect ECONNREFUSED", Code.Internal)],
    [
      "an answer whose text says REFUSED_STREAM",
      new ConnectError("Stream closed with error code NGHTTP2_REFUSED_STREAM", Code.Internal),
    ],
    ["an answer whose text says fetch", new ConnectError("Failed to fetch", Code.Unavailable)],
    ["a server that is ABORTED", statusError(Code.Aborted)],
    // Over HTTP/2 connect-node says this of RST_STREAM(CANCEL) and of FIN: it cannot tell them apart.
    [
      "a stream that the server cancelled",
      new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled),
    ],
    [
      "a stream that the server broke off",
      connectError(
        Code.Internal,
        nodeError("Stream closed with error code NGHTTP2_INTERNAL_ERROR", "ERR_HTTP2_STREAM_ERROR"),
      ),
    ],
    ["a bug in a policy", new TypeError("Cannot read properties of undefined (reading 'fetch')")],
    ["a bug in a transport", connectError(Code.Internal, new TypeError("network.open is not a function"))],
    ["another error of the same text", new Error("Failed to fetch")],
    ["a port that fetch does not allow", fetchFailed(new Error("bad port"))],
    ["a file that is missing", nodeError("ENOENT: no such file", "ENOENT", "open")],
    ["what is no error", "ECONNREFUSED"],
    ["nothing", undefined],
  ])("%s", async (_, error) => {
    expect(await normalised(error)).toBe(error);
  });

  test("what a transport of ours has said already", async () => {
    const cause = new DeliveryError("REFUSED", "GOAWAY", RESET);
    const error = new ConnectError("refused", Code.Unavailable, undefined, undefined, cause);
    expect(await normalised(error)).toBe(error);
  });

  test("whatever comes of a call that was left: its connection was closed from here", async () => {
    const error = connectError(Code.Aborted, RESET);
    expect(await normalised(error, AbortSignal.abort())).toBe(error);
  });

  test("causes that go round in a circle", async () => {
    const error = new Error("one");
    error.cause = new Error("other", { cause: error });
    expect(await normalised(error)).toBe(error);
  });

  test("an answer", async () => {
    const { next } = scripted(manualClock(), [{ answer: "yes" }]);
    expect(textOf(await through([normaliseOutcomes()], next)(unaryRequest(METHOD)))).toBe("yes");
  });
});

describe("a stream", () => {
  const method = toyMethod({}, { streams: "server" });
  const texts = (...all: string[]) => all.map((text) => ({ text }) as ToyResponse);

  async function reading(error: unknown, signal = new AbortController().signal) {
    const { next } = scripted(manualClock(), [{ stream: () => messagesOf(texts("a", "b"), error) }]);
    const response = await through([normaliseOutcomes()], next)(streamRequest(method, { signal }));
    if (!response.stream) return expect.fail("it is no stream");
    const read: string[] = [];
    try {
      for await (const message of response.message) read.push((message as ToyResponse).text);
    } catch (thrown) {
      return { read, thrown };
    }
    return { read };
  }

  test("that breaks is lost, after what was read of it", async () => {
    const { read, thrown } = await reading(connectError(Code.Aborted, RESET));
    expect(read).toEqual(["a", "b"]);
    expect(outcomeOf(thrown)).toMatchObject({ kind: "LOST", code: Code.Unavailable });
  });

  test("that a server ends is as it is, with an error or without", async () => {
    const error = statusError(Code.NotFound);
    expect(await reading(error)).toEqual({ read: ["a", "b"], thrown: error });
    expect(await reading(undefined)).toEqual({ read: ["a", "b"] });
  });

  test("that its caller left is not lost", async () => {
    const leaving = new AbortController();
    const error = connectError(Code.Aborted, RESET);
    leaving.abort();
    expect((await reading(error, leaving.signal)).thrown).toBe(error);
  });
});

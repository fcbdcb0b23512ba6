import type { OutgoingHttpHeaders } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import {
  parseContentType as asConnect,
  codeToHttpStatus,
  contentTypeUnaryJson,
  createEndStreamSerialization,
  endStreamFlag,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { parseContentType as asGrpc, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { parseContentType as asGrpcWeb } from "@connectrpc/connect/protocol-grpc-web";
import type { RequestHandler } from "./port.ts";

type Request = Parameters<RequestHandler>[0];
type Response = Parameters<RequestHandler>[1];

/** The error of a call as an HTTP answer. */
export interface EarlyAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Uint8Array | undefined;
}

/** Writes an error for the caller of one request. */
export type Encode = (error: ConnectError) => EarlyAnswer;

const endOfStream = createEndStreamSerialization(undefined);

/**
 * How the caller of a request reads errors: Trailers-Only in gRPC and gRPC-Web, JSON in the Connect protocol, the end of
 * the stream in its streams. Undefined for a request that is no such call: connect knows what to say to that.
 */
export function encoderFor(request: Request, method: DescMethod): Encode | undefined {
  const contentType = request.headers["content-type"] ?? "";
  const isUnary = method.methodKind === "unary";
  if (request.method === "GET") return isUnary && contentType === "" ? asJson : undefined;
  if (request.method !== "POST") return undefined;
  // Both sides of such a call speak at once, which HTTP/1.1 cannot.
  if (method.methodKind === "bidi_streaming" && request.httpVersionMajor === 1) return undefined;
  if (asGrpc(contentType) || asGrpcWeb(contentType)?.text === false) return inHeaders(contentType);
  const connect = asConnect(contentType);
  if (!connect || connect.stream === isUnary) return undefined;
  return connect.stream ? atEndOfStream(contentType) : asJson;
}

const inHeaders =
  (contentType: string): Encode =>
  (error) => {
    const trailers = setTrailerStatus(new Headers(), error);
    const headers = { "content-type": contentType, ...Object.fromEntries(trailers) };
    return { status: 200, headers, body: undefined };
  };

const atEndOfStream =
  (contentType: string): Encode =>
  (error) => {
    const end = endOfStream.serialize({ metadata: new Headers(), error });
    return {
      status: 200,
      headers: { "content-type": contentType },
      body: encodeEnvelope(endStreamFlag, end),
    };
  };

const asJson: Encode = (error) => {
  const headers = new Headers({ "content-type": contentTypeUnaryJson });
  mergeNonProtocolHeaders(headers, error.metadata);
  const body = errorToJsonBytes(error, undefined);
  return { status: codeToHttpStatus(error.code), headers: Object.fromEntries(headers), body };
};

// What a connection is worth: a body that may be longer is not read for the sake of keeping it.
const MAX_UNREAD_BYTES = 4 * 2 ** 20;

// Node's own client throws away what it has not read when the stream is closed.
const READ_WITHIN_MS = 100;

/** Answers a request whose body nobody has read, and lets its connection live on if that is short. */
export function answerUnread(request: Request, response: Response, answer: EarlyAnswer): void {
  const { status, headers, body } = answer;
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value as string);
  if (body) response.setHeader("content-length", body.length);
  if (request.httpVersionMajor === 1 && Number(request.headers["content-length"] ?? 0) > MAX_UNREAD_BYTES) {
    response.setHeader("connection", "close");
  }
  // What is left of an HTTP/1.1 request Node reads away by itself.
  (response as { end(body?: Uint8Array): void }).end(body);
  if ("stream" in response) setTimeout(stopReading, READ_WITHIN_MS, response.stream).unref();
}

/** Tells an HTTP/2 peer, if it has not ended by itself, to send no more, which is no error (RFC 9113, section 8.1). */
function stopReading(stream: ServerHttp2Stream | undefined): void {
  if (stream && !stream.closed) stream.close();
}

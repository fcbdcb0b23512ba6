import { METHODS, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

interface Refusal {
  readonly status: number;
  readonly why: string;
}

const NO_HTTP: Refusal = { status: 400, why: "this is no HTTP/1.1" };
/** By the code of Node's error. */
const REFUSALS: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: { status: 431, why: "the headers are larger than they may be" },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, why: "what a chunk says of itself is too large" },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, why: "the request did not come in time" },
};

/**
 * Answers what came instead of a request of HTTP/1.1, and closes the connection: what comes next on it could be anything.
 * Where none can be read, because another one has begun or HTTP is not spoken there, nothing is said.
 */
export function answerBadHttp(error: NodeJS.ErrnoException, socket: Duplex, canRead: boolean): void {
  if (!socket.writable || !canRead || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const { status, why } = REFUSALS[error.code ?? ""] ?? NO_HTTP;
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "connection: close",
    "content-type: text/plain;charset=UTF-8",
    "cache-control: no-store",
    "x-content-type-options: nosniff",
    `content-length: ${why.length + 1}`,
    "",
    `${why}\n`,
  ];
  socket.end(lines.join("\r\n"), () => socket.destroy());
}

/**
 * True for the first bytes of a connection if they begin with no method and name no HTTP: a preface that is none (RFC 9113,
 * section 3.4, wants it closed), TLS, another protocol.
 */
export function isNoHttp(firstBytes: Buffer): boolean {
  const [line = ""] = firstBytes.toString("latin1").split("\n", 1);
  const [method = ""] = line.trim().split(/\s/, 1);
  return method !== "" && !METHODS.includes(method.toUpperCase()) && !line.includes("HTTP");
}

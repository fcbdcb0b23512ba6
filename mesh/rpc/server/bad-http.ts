import { METHODS, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

/** What Node says of it. */
interface BadHttp extends NodeJS.ErrnoException {
  /** What came last, if Node could not read it. */
  readonly rawPacket?: Buffer;
}

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
 * Nothing is said if an answer has begun, nor to who speaks no HTTP at all and would not read it (RFC 9113, section 3.4, wants
 * that connection closed).
 */
export function answerBadHttp(error: BadHttp, socket: Duplex, hasBegun: boolean): void {
  if (!socket.writable || hasBegun || error.code === "ECONNRESET" || isNoHttp(error.rawPacket)) {
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

/** True for a first line that begins with no method and names no HTTP: a preface that is none, TLS, another protocol. */
function isNoHttp(packet: Buffer | undefined): boolean {
  const [line = ""] = packet?.toString("latin1").split("\n", 1) ?? [];
  const [method = ""] = line.trim().split(/\s/, 1);
  return method !== "" && !METHODS.includes(method.toUpperCase()) && !line.includes("HTTP");
}

import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import type { HeaderField } from "./hpack/header-field.ts";
import type { MessageHead } from "./message-head.ts";
import type { NodeExchange } from "./node-exchange.ts";

// As Node has it: of these the first one stays, others are joined.
const ONCE = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent",
]);

/** A request that looks like node:http2's `Http2ServerRequest`. Its body is read as fast as somebody reads it. */
export class NodeRequest extends Readable {
  readonly httpVersion = "2.0";
  readonly httpVersionMajor = 2;
  readonly httpVersionMinor = 0;
  readonly method: string;
  readonly authority: string;
  readonly scheme: string;
  readonly headers: IncomingHttpHeaders = {};
  readonly rawHeaders: string[] = [];
  readonly stream: NodeExchange;
  readonly socket: Socket;
  /** What is asked for; whoever passes it on may write another. */
  url: string;
  /** All of it has come. */
  complete = false;
  #untakenBytes = 0;

  constructor(
    exchange: NodeExchange,
    head: Readonly<MessageHead>,
    fields: readonly HeaderField[],
    socket: Socket,
  ) {
    super({ autoDestroy: false });
    this.stream = exchange;
    this.socket = socket;
    this.method = head.method;
    this.url = head.path;
    this.scheme = head.scheme;
    this.authority = head.authority;
    for (const { name, value } of fields) {
      this.rawHeaders.push(name, value);
      this.#add(name, value);
    }
    if (head.authority) this.headers.host ??= head.authority;
    // Whoever does not read must not end the process.
    this.on("error", () => {});
  }

  #add(name: string, value: string): void {
    if (name === "set-cookie") {
      this.headers[name] = [...(this.headers[name] ?? []), value];
      return;
    }
    const before = this.headers[name] as string | undefined;
    if (before === undefined) this.headers[name] = value;
    else if (!ONCE.has(name) && !name.startsWith(":")) {
      this.headers[name] = `${before}${name === "cookie" ? "; " : ", "}${value}`;
    }
  }

  /** A part of the body. */
  came(part: Buffer): void {
    if (part.length === 0) return;
    // Nobody reads it any more.
    if (this.destroyed || this.push(part)) this.stream.taken(part.length);
    else this.#untakenBytes += part.length;
  }

  /** The body is whole. */
  ended(): void {
    this.complete = true;
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    const bytes = this.#untakenBytes;
    this.#untakenBytes = 0;
    if (bytes > 0) this.stream.taken(bytes);
  }

  /** The exchange is over. */
  close(): void {
    this.destroy();
  }

  /** The exchange has failed: who reads is told, unless all had come. */
  lost(): void {
    this.destroy(this.complete ? undefined : Object.assign(new Error("aborted"), { code: "ECONNRESET" }));
  }
}

import type { OutgoingHttpHeaders } from "node:http";
import { Writable } from "node:stream";
import type { HeaderField } from "./hpack/header-field.ts";
import type { NodeExchange } from "./node-exchange.ts";

type Value = string | number | readonly string[];

const EMPTY = new Uint8Array(0);
// Speak of one hop, and are of HTTP/1.1 (RFC 9113, section 8.2.2).
const OF_HTTP1 = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** An answer that looks like node:http2's `Http2ServerResponse`. */
export class NodeResponse extends Writable {
  statusCode = 200;
  headersSent = false;
  /** Says when the answer was made, as servers with a clock do (RFC 9110, section 6.6.1). Defaults to true. */
  sendDate = true;
  readonly stream: NodeExchange;
  readonly #isHead: boolean;
  readonly #headers = new Map<string, Value>();
  #trailers: HeaderField[] | undefined;

  constructor(exchange: NodeExchange, isHead: boolean) {
    super({ autoDestroy: false });
    this.stream = exchange;
    this.#isHead = isHead;
    this.on("error", () => {});
  }

  get socket() {
    return this.stream.request.socket;
  }

  get req() {
    return this.stream.request;
  }

  setHeader(name: string, value: Value): this {
    this.#headers.set(name.toLowerCase(), value);
    return this;
  }

  appendHeader(name: string, value: string | readonly string[]): this {
    const before = this.#headers.get(name.toLowerCase());
    return this.setHeader(name, before === undefined ? value : [before, value].flat().map(String));
  }

  getHeader(name: string): Value | undefined {
    return this.#headers.get(name.toLowerCase());
  }

  getHeaderNames(): string[] {
    return [...this.#headers.keys()];
  }

  getHeaders(): OutgoingHttpHeaders {
    return Object.fromEntries(this.#headers) as OutgoingHttpHeaders;
  }

  hasHeader(name: string): boolean {
    return this.#headers.has(name.toLowerCase());
  }

  removeHeader(name: string): void {
    this.#headers.delete(name.toLowerCase());
  }

  writeHead(status: number, ...rest: (string | OutgoingHttpHeaders | undefined)[]): this {
    this.statusCode = status;
    const headers = rest.find((each) => typeof each === "object");
    for (const [name, value] of Object.entries(headers ?? {})) {
      if (value !== undefined) this.setHeader(name, value as Value);
    }
    return this;
  }

  flushHeaders(): void {
    if (!this.headersSent) this.#sendHead(false);
  }

  addTrailers(trailers: OutgoingHttpHeaders): void {
    this.#trailers = [...(this.#trailers ?? []), ...toFields(Object.entries(trailers))];
  }

  #sendHead(isEnd: boolean): void {
    this.headersSent = true;
    if (this.sendDate && !this.hasHeader("date")) this.setHeader("date", new Date().toUTCString());
    this.stream.sendHeaders(
      [{ name: ":status", value: String(this.statusCode) }, ...toFields(this.#headers)],
      isEnd,
    );
  }

  /** What has no body, whatever is written (RFC 9110, section 6.4.1). */
  get #isBodiless(): boolean {
    return this.#isHead || this.statusCode === 204 || this.statusCode === 304;
  }

  override _write(part: Buffer, _encoding: string, done: () => void): void {
    if (!this.headersSent) this.#sendHead(this.#isBodiless);
    if (this.#isBodiless || this.stream.send(EMPTY, part, false)) done();
    else this.stream.whenDrained(done);
  }

  override _final(done: () => void): void {
    if (!this.stream.isLocalEnded) this.#end();
    done();
    this.stream.finished();
    process.nextTick(() => this.destroy());
  }

  #end(): void {
    const trailers = this.#trailers;
    if (!this.headersSent) this.#sendHead(trailers === undefined);
    else if (!trailers) this.stream.send(EMPTY, EMPTY, true);
    if (trailers) this.stream.sendHeaders(trailers, true);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.stream.isOpen && !this.writableFinished) this.stream.close();
    done(error);
  }

  /** The exchange has failed. */
  lost(): void {
    this.destroy();
  }
}

function toFields(headers: Iterable<[string, Value | undefined]>): HeaderField[] {
  const fields: HeaderField[] = [];
  for (const [name, value] of headers) {
    if (value === undefined || OF_HTTP1.has(name)) continue;
    for (const each of [value].flat()) fields.push({ name: name.toLowerCase(), value: String(each) });
  }
  return fields;
}

import { ClientStream } from "./client.ts";
import type { ClientConnection } from "./client-connection.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import type { StreamError } from "./http2-error.ts";

/** What a client says unless a test says otherwise. */
export const REQUEST: readonly string[] = [
  ":method: POST",
  ":scheme: http",
  ":path: /a",
  ":authority: localhost",
];

/** A stream that writes down what it is told: `name: value` of headers, data as text, `END`, and how it failed. */
export class HeardStream extends ClientStream {
  readonly heard: string[] = [];
  failure: StreamError | undefined;
  drains = 0;
  /** Lets the peer send as much again at once. Defaults to true. */
  takesAtOnce = true;
  readonly #isRequestEnd: boolean;

  /** `isRequestEnd`: as a client's stream it says nothing after its headers. */
  constructor(isRequestEnd = true) {
    super();
    this.#isRequestEnd = isRequestEnd;
  }

  begin(connection: ClientConnection): void {
    const fields = REQUEST.map((field) => {
      const at = field.indexOf(": ", 1);
      return { name: field.slice(0, at), value: field.slice(at + 2) };
    });
    connection.open(this, fields, this.#isRequestEnd);
  }

  onHeaders(fields: readonly HeaderField[], isEnd: boolean): void {
    this.heard.push(...fields.map(({ name, value }) => `${name}: ${value}`));
    if (isEnd) this.heard.push("END");
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    if (end > start) this.heard.push(chunk.toString("latin1", start, end));
    if (isEnd) this.heard.push("END");
    if (this.takesAtOnce) this.taken(end - start);
  }

  onFailure(error: StreamError): void {
    this.failure = error;
    this.heard.push(`failed: ${error.message}`);
  }

  override onDrain(): void {
    this.drains++;
  }
}

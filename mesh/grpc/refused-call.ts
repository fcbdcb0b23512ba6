import type { ConnectError } from "@connectrpc/connect";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { Stream } from "../http2/stream.ts";
import { toTrailers } from "./status.ts";

/** A call that is answered by its headers alone. */
export class RefusedCall extends Stream {
  readonly #status: number;
  readonly #error: ConnectError | undefined;
  readonly #contentType: string;
  readonly #more: readonly HeaderField[];

  /** `more` are headers of the protocol's beside those of the error. */
  constructor(status: number, error?: ConnectError, contentType = "", more: readonly HeaderField[] = []) {
    super();
    this.#status = status;
    this.#error = error;
    this.#contentType = contentType;
    this.#more = more;
  }

  onHeaders(): void {
    const status = { name: ":status", value: String(this.#status) };
    const type = { name: "content-type", value: this.#contentType };
    const head = this.#error ? [status, type, ...this.#more, ...toTrailers(this.#error)] : [status];
    this.sendHeaders(head, true);
    this.stopReading();
  }

  onData(_chunk: Buffer, start: number, end: number): void {
    this.taken(end - start);
  }

  onFailure(): void {}
}

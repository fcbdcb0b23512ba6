import type { ConnectError } from "@connectrpc/connect";
import { Stream } from "../http2/stream.ts";
import { toTrailers } from "./status.ts";

/** A call that is answered by its headers alone. */
export class RefusedCall extends Stream {
  readonly #status: number;
  readonly #error: ConnectError | undefined;
  readonly #contentType: string;

  constructor(status: number, error?: ConnectError, contentType = "") {
    super();
    this.#status = status;
    this.#error = error;
    this.#contentType = contentType;
  }

  onHeaders(): void {
    const status = { name: ":status", value: String(this.#status) };
    const type = { name: "content-type", value: this.#contentType };
    this.sendHeaders(this.#error ? [status, type, ...toTrailers(this.#error)] : [status], true);
    this.stopReading();
  }

  onData(_chunk: Buffer, start: number, end: number): void {
    this.taken(end - start);
  }

  onFailure(): void {}
}

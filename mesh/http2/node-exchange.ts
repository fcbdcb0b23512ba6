import type { Socket } from "node:net";
import { ErrorCode } from "./error-code.ts";
import type { HeaderField } from "./hpack/header-field.ts";
import type { StreamError } from "./http2-error.ts";
import type { MessageHead } from "./message-head.ts";
import { NodeRequest } from "./node-request.ts";
import { NodeResponse } from "./node-response.ts";
import { Stream } from "./stream.ts";

/** Answers a request as it would one of node:http2's compatibility API. */
export type NodeHandler = (request: NodeRequest, response: NodeResponse) => void;

/**
 * A stream whose two sides look like node:http2's requests and responses, for handlers that were written for those. It is
 * the slow way: three streams of Node's for each of ours.
 */
export class NodeExchange extends Stream {
  /** Of HTTP/2, once it has ended before its time. */
  rstCode = 0;
  readonly request: NodeRequest;
  readonly response: NodeResponse;
  readonly #handle: NodeHandler;
  #isHandled = false;
  #onDrain: (() => void) | undefined;

  constructor(
    head: Readonly<MessageHead>,
    fields: readonly HeaderField[],
    socket: Socket,
    handle: NodeHandler,
  ) {
    super();
    this.#handle = handle;
    this.request = new NodeRequest(this, head, fields, socket);
    this.response = new NodeResponse(this, head.method === "HEAD");
  }

  get closed(): boolean {
    return !this.isOpen;
  }

  onHeaders(_fields: readonly HeaderField[], isEnd: boolean): void {
    // Trailers of a request: nobody has asked for them.
    if (this.#isHandled) {
      this.request.ended();
      return;
    }
    this.#isHandled = true;
    if (isEnd) this.request.ended();
    try {
      this.#handle(this.request, this.response);
    } catch {
      // One handler's mistake is nothing to the other streams of its connection.
      this.close(ErrorCode.INTERNAL_ERROR);
      this.request.close();
      this.response.lost();
    }
  }

  onData(chunk: Buffer, start: number, end: number, isEnd: boolean): void {
    this.request.came(chunk.subarray(start, end));
    if (isEnd) this.request.ended();
  }

  /** Calls `act` when what was sent has left; at once if the stream is over. */
  whenDrained(act: () => void): void {
    if (this.isOpen && this.unsent) this.#onDrain = act;
    else act();
  }

  override onDrain(): void {
    const act = this.#onDrain;
    this.#onDrain = undefined;
    act?.();
  }

  /** The answer has left: the peer need not send what nobody reads (RFC 9113, section 8.1). */
  finished(): void {
    this.whenDrained(() => this.stopReading());
    this.request.close();
  }

  /** Ends the stream before its time, or what is left of it. */
  close(code: number = ErrorCode.NO_ERROR): void {
    this.rstCode = code;
    this.reset(code);
  }

  onFailure(error: StreamError): void {
    this.rstCode = error.code;
    this.request.lost();
    this.response.lost();
    this.onDrain();
  }
}

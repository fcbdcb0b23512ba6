import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type CallOptions, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  BidiStreamRequestSchema,
  type ClientCompatRequest,
  type ClientResponseResult,
  ClientResponseResultSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  StreamType,
  UnaryRequestSchema,
  UnimplementedRequestSchema,
} from "./contract.ts";
import { toErrorMessage } from "./errors.ts";
import { addTo, metadataOf } from "./metadata.ts";

type Answer = { readonly payload?: ConformancePayload | undefined };

/** Makes the call that the suite asks for, and tells all that came of it. Rejects if it is no call that there is. */
export async function makeCall(
  transport: Transport,
  asked: ClientCompatRequest,
): Promise<ClientResponseResult> {
  const client = createClient(ConformanceService, transport);
  const call = new Call(asked);
  const { options } = call;
  switch (asked.method) {
    case "Unary":
      return call.once(client.unary(call.only(UnaryRequestSchema), options));
    case "IdempotentUnary":
      return call.once(client.idempotentUnary(call.only(IdempotentUnaryRequestSchema), options));
    case "Unimplemented":
      return call.once(client.unimplemented(call.only(UnimplementedRequestSchema), options).then(() => ({})));
    case "ClientStream":
      return call.once(client.clientStream(call.requests(ClientStreamRequestSchema), options), "sends");
    case "ServerStream":
      return call.all(client.serverStream(call.only(ServerStreamRequestSchema), options));
    case "BidiStream":
      return call.all(client.bidiStream(call.requests(BidiStreamRequestSchema), options), "sends");
    default:
      throw new Error(`the service has no method ${asked.method}`);
  }
}

/** A call under way, and what has come of it. */
class Call {
  readonly #asked: ClientCompatRequest;
  readonly #cancelling = new AbortController();
  readonly #payloads: ConformancePayload[] = [];
  #header: Headers | undefined;
  #trailer: Headers | undefined;
  #sent = 0;
  /** Fulfilled by the next answer of a stream on which both sides speak in turns, and by its end. */
  #answered = Promise.withResolvers<void>();
  readonly options: CallOptions;

  constructor(asked: ClientCompatRequest) {
    this.#asked = asked;
    const headers = new Headers();
    addTo(headers, asked.requestHeaders);
    this.options = {
      headers,
      signal: this.#cancelling.signal,
      ...(asked.timeoutMs !== undefined && { timeoutMs: asked.timeoutMs }),
      onHeader: (header) => {
        this.#header = header;
      },
      onTrailer: (trailer) => {
        this.#trailer = trailer;
      },
    };
  }

  /** The one request of a call that has one. */
  only<S extends DescMessage>(schema: S): MessageShape<S> {
    const [message, ...more] = this.#unpacked(schema);
    if (message === undefined || more.length > 0) throw new Error("such a call has exactly one request");
    this.#sent = 1;
    return message;
  }

  /** The requests of a stream, each at its time. */
  async *requests<S extends DescMessage>(schema: S): AsyncGenerator<MessageShape<S>> {
    const { requestDelayMs, streamType, cancel } = this.#asked;
    const inTurns = streamType === StreamType.FULL_DUPLEX_BIDI_STREAM;
    for (const message of this.#unpacked(schema)) {
      if (requestDelayMs > 0) await sleep(requestDelayMs);
      this.#sent++;
      const answered = this.#answered.promise;
      yield message;
      if (inTurns) await answered;
    }
    if (cancel?.cancelTiming.case === "beforeCloseSend") {
      this.#cancelling.abort();
      // A stream that is cancelled is not closed first.
      await new Promise(() => {});
    }
    void this.#cancelAfterSending();
  }

  /** What comes of a call with one answer. */
  async once(answer: Promise<Answer>, sending?: "sends"): Promise<ClientResponseResult> {
    if (!sending) void this.#cancelAfterSending();
    try {
      this.#payloads.push(payloadOf(await answer));
      return this.#result();
    } catch (error) {
      return this.#result(error);
    }
  }

  /** What comes of a call with many answers. */
  async all(answers: AsyncIterable<Answer>, sending?: "sends"): Promise<ClientResponseResult> {
    const { cancel } = this.#asked;
    if (!sending) void this.#cancelAfterSending();
    try {
      for await (const answer of answers) {
        this.#payloads.push(payloadOf(answer));
        if (
          cancel?.cancelTiming.case === "afterNumResponses" &&
          cancel.cancelTiming.value === this.#payloads.length
        )
          this.#cancelling.abort();
        this.#answered.resolve();
        this.#answered = Promise.withResolvers();
      }
      return this.#result();
    } catch (error) {
      return this.#result(error);
    } finally {
      this.#answered.resolve();
    }
  }

  async #cancelAfterSending(): Promise<void> {
    const timing = this.#asked.cancel?.cancelTiming;
    if (!timing || timing.case === "beforeCloseSend" || timing.case === "afterNumResponses") return;
    await sleep(timing.value ?? 0);
    this.#cancelling.abort();
  }

  #unpacked<S extends DescMessage>(schema: S): MessageShape<S>[] {
    return this.#asked.requestMessages.map((any) => {
      const message = anyUnpack(any, schema);
      if (!message) throw new Error(`a request is ${any.typeUrl}, not ${schema.typeName}`);
      return message;
    });
  }

  #result(failure?: unknown): ClientResponseResult {
    const error = failure === undefined ? undefined : ConnectError.from(failure);
    // Headers and trailers of a call that failed before it was answered are one with its error.
    const metadata = error?.metadata ?? new Headers();
    return create(ClientResponseResultSchema, {
      payloads: this.#payloads,
      responseHeaders: metadataOf(this.#header ?? metadata),
      responseTrailers: metadataOf(this.#trailer ?? metadata),
      numUnsentRequests: this.#asked.requestMessages.length - this.#sent,
      ...(error && { error: toErrorMessage(error) }),
    });
  }
}

function payloadOf({ payload }: Answer): ConformancePayload {
  return payload ?? create(ConformancePayloadSchema);
}

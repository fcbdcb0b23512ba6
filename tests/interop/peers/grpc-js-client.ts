import { create, type DescMessage, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { Client, credentials, type Metadata, type StatusObject } from "@grpc/grpc-js";
import { toHeaders, toMetadata } from "./grpc-js-metadata.ts";
import { typescriptClient } from "./typescript-client.ts";

const GZIP = 2;
// What Connect writes into the headers of its own transports.
const NOT_METADATA = ["content-type", "user-agent", "te", "grpc-timeout"];

/** gRPC by `@grpc/grpc-js`, as a client. */
export const grpcJsClient = typescriptClient("grpc-js", (port, { sendsGzip }) => {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    ...(sendsGzip && { "grpc.default_compression_algorithm": GZIP }),
  });
  return { transport: transportOver(client), close: () => client.close() };
});

function transportOver(client: Client): Transport {
  async function answered<O extends DescMessage>(
    method: DescMethod & { readonly output: O },
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: ConstructorParameters<typeof Headers>[0],
    input: AsyncIterable<object>,
  ) {
    const trailer = new Headers();
    const call = begin(client, method, timeoutMs, new Headers(header));
    signal?.addEventListener("abort", () => call.cancel());
    const message = received(call, method.output, trailer);
    const first = new Promise<Metadata | undefined>((resolve) => {
      call.once("metadata", resolve);
      call.once("status", () => resolve(undefined));
    });
    // What a call that has failed could not send, its status says.
    send(call, method.input, input).catch(() => call.cancel());
    const metadata = await first;
    return {
      service: method.parent,
      header: metadata ? toHeaders(metadata) : new Headers(),
      trailer,
      message,
    };
  }

  return {
    async unary(method, signal, timeoutMs, header, input) {
      async function* once() {
        yield input;
      }
      const response = await answered(method, signal, timeoutMs, header, once());
      const [message] = await Array.fromAsync(response.message);
      if (message === undefined) throw new Error("the call had no answer");
      return { ...response, method, stream: false, message };
    },
    async stream(method, signal, timeoutMs, header, input) {
      return { ...(await answered(method, signal, timeoutMs, header, input)), method, stream: true };
    },
  };
}

type Call = ReturnType<typeof begin>;

/** On the wire all kinds of methods are one: a stream each way. */
function begin(client: Client, method: DescMethod, timeoutMs: number | undefined, header: Headers) {
  for (const name of NOT_METADATA) header.delete(name);
  return client.makeBidiStreamRequest<Uint8Array, Uint8Array>(
    `/${method.parent.typeName}/${method.name}`,
    (bytes) => Buffer.from(bytes),
    (bytes) => new Uint8Array(bytes),
    toMetadata(header),
    timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
  );
}

async function send<I extends DescMessage>(
  call: Call,
  schema: I,
  messages: AsyncIterable<object>,
): Promise<void> {
  for await (const message of messages) call.write(toBinary(schema, create(schema, message as never)));
  call.end();
}

/** The answers, each as soon as it is there, and all before the status, which an iterator of Node would prefer. */
function received<O extends DescMessage>(call: Call, schema: O, trailer: Headers) {
  const answers: Uint8Array[] = [];
  let last: StatusObject | undefined;
  let changed = Promise.withResolvers<void>();
  const tell = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  call.on("data", (bytes: Uint8Array) => {
    answers.push(bytes);
    tell();
  });
  call.on("status", (status: StatusObject) => {
    last = status;
    tell();
  });
  // The status says it too; this listener keeps the error from ending the process.
  call.on("error", () => {});

  return (async function* () {
    for (;;) {
      const next = answers.shift();
      if (next) yield fromBinary(schema, next);
      else if (last) break;
      else await changed.promise;
    }
    for (const [name, value] of toHeaders(last.metadata)) trailer.append(name, value);
    const failure = new Headers(trailer);
    failure.set("grpc-status", String(last.code));
    failure.set("grpc-message", encodeURIComponent(last.details));
    const error = findTrailerError(failure);
    if (error) throw error;
  })();
}

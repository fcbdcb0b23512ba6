import { create, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  ConnectError,
  createHandlerContext,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { InteropService } from "../contract.ts";
import { interopService } from "../service.ts";
import { toHeaders, toMetadata } from "./grpc-js-metadata.ts";
import type { ServerPeer } from "./peer.ts";

const { input: requestType, output: responseType } = InteropService.method.bidiStream;
type Request = MessageShape<typeof requestType>;
type Response = MessageShape<typeof responseType>;
type Call = ServerDuplexStream<Request, Response>;

/** gRPC by `@grpc/grpc-js`, as a server. */
export const grpcJsServer: ServerPeer = {
  name: "grpc-js",
  answersPlain: "its server knows no compression of answers",
  async start() {
    const server = new Server();
    const implementation = interopService();
    const handlers: UntypedServiceImplementation = {};
    for (const method of InteropService.methods) {
      handlers[method.name] = (call: Call) => answer(method, implementation, call);
    }
    server.addService(
      Object.fromEntries(InteropService.methods.map((each) => [each.name, definition(each)])),
      handlers,
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return { port, stop: () => server.forceShutdown() };
  },
};

/** On the wire all kinds of methods are one: a stream each way. */
function definition({ name }: DescMethod) {
  return {
    path: `/${InteropService.typeName}/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (value: Request) => Buffer.from(toBinary(requestType, value)),
    requestDeserialize: (bytes: Buffer) => fromBinary(requestType, bytes),
    responseSerialize: (value: Response) => Buffer.from(toBinary(responseType, value)),
    responseDeserialize: (bytes: Buffer) => fromBinary(responseType, bytes),
  };
}

async function answer(
  method: DescMethod,
  implementation: ServiceImpl<typeof InteropService>,
  call: Call,
): Promise<void> {
  const deadlineMs = Number(call.getDeadline());
  const context = createHandlerContext({
    service: InteropService,
    method,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "",
    requestHeader: toHeaders(call.metadata),
    ...(Number.isFinite(deadlineMs) && { timeoutMs: deadlineMs - Date.now() }),
  });
  call.once("cancelled", () => context.abort());
  let hasBegun = false;
  const begin = () => {
    if (!hasBegun) call.sendMetadata(toMetadata(context.responseHeader));
    hasBegun = true;
  };
  try {
    for await (const each of answers(method, implementation, call, context)) {
      begin();
      call.write(create(responseType, each));
    }
    begin();
    call.end(toMetadata(context.responseTrailer));
  } catch (error) {
    const failure = ConnectError.from(error);
    const details = setTrailerStatus(new Headers(), failure).get("grpc-status-details-bin");
    const metadata = new Metadata();
    if (details) metadata.set("grpc-status-details-bin", Buffer.from(details, "base64"));
    call.emit("error", { code: failure.code, details: failure.rawMessage, metadata });
  }
}

async function* answers(
  method: DescMethod,
  implementation: ServiceImpl<typeof InteropService>,
  call: Call,
  context: HandlerContext,
) {
  // Who has read all requests would else end the answers with them.
  const requests: AsyncIterable<Request> = call.iterator({ destroyOnReturn: false });
  switch (method.methodKind) {
    case "unary":
      for await (const request of requests) yield await implementation.unary(request, context);
      break;
    case "client_streaming":
      yield await implementation.clientStream(requests, context);
      break;
    case "server_streaming":
      for await (const request of requests) yield* implementation.serverStream(request, context);
      break;
    case "bidi_streaming":
      yield* implementation.bidiStream(requests, context);
      break;
  }
}

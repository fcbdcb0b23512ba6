import {
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { codec, ECHO_PATH, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

const { writeRequest, readRequest, writeResponse, readResponse } = codec;

// As its maintainers advise for benchmarks: else a record of every call is kept.
const OPTIONS: ChannelOptions = { "grpc.enable_channelz": 0 };

const service: ServiceDefinition = {
  echo: {
    path: ECHO_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: writeRequest,
    requestDeserialize: readRequest,
    responseSerialize: writeResponse,
    responseDeserialize: readResponse,
  },
};

/** grpc-js and nothing else. */
export async function startServer(port: number): Promise<void> {
  const server = new Server(OPTIONS);
  server.addService(service, {
    echo: (call: { request: string }, answer: (error: null, text: string) => void) =>
      answer(null, call.request),
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
}

/** grpc-js and nothing else. */
export async function openClient(port: number): Promise<Call> {
  const client = new Client(`${HOST}:${port}`, credentials.createInsecure(), OPTIONS);
  return (text) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        ECHO_PATH,
        writeRequest,
        readResponse,
        text,
        new Metadata(),
        { deadline: Date.now() + TIMEOUT_MS },
        (error, answer) => (error ? reject(error) : resolve(answer ?? "")),
      );
    });
}

import { createChannel, createClientFactory, createServer, type ServiceDefinition } from "nice-grpc";
import { deadlineMiddleware } from "nice-grpc-client-middleware-deadline";
import { retryMiddleware } from "nice-grpc-client-middleware-retry";
import { codec, ECHO_PATH, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

const { writeRequest, readRequest, writeResponse, readResponse } = codec;
const OPTIONS = { "grpc.enable_channelz": 0 };

const service = {
  echo: {
    path: ECHO_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: writeRequest,
    requestDeserialize: readRequest,
    responseSerialize: writeResponse,
    responseDeserialize: readResponse,
    options: { idempotencyLevel: "NO_SIDE_EFFECTS" },
  },
} as const satisfies ServiceDefinition;

/** nice-grpc has no protections of its own on the server. */
export async function startServer(port: number): Promise<void> {
  const server = createServer(OPTIONS);
  server.add(service, { echo: async (text: string) => text });
  await server.listen(`${HOST}:${port}`);
}

/** nice-grpc with its retry and deadline middleware. */
export async function openClient(port: number): Promise<Call> {
  const channel = createChannel(`${HOST}:${port}`, undefined, OPTIONS);
  const client = createClientFactory()
    .use(retryMiddleware)
    .use(deadlineMiddleware)
    .create(service, channel, { "*": { retry: true, retryMaxAttempts: 3 } });
  return (text) => client.echo(text, { deadline: TIMEOUT_MS });
}

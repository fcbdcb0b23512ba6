import { createChannel, createClientFactory, createServer, type ServiceDefinition } from "nice-grpc";
import { deadlineMiddleware } from "nice-grpc-client-middleware-deadline";
import { retryMiddleware } from "nice-grpc-client-middleware-retry";
import { codec, ECHO_PATH, TIMEOUT_MS } from "../calls/contract.ts";
import { type Call, HOST } from "../calls/peer.ts";

const { writeRequest, readRequest, writeResponse, readResponse } = codec;
const OPTIONS = { "grpc.enable_channelz": 0 };

// Its messages must be objects: it looks whether they are streams.
interface Echo {
  readonly text: string;
}

const service = {
  echo: {
    path: ECHO_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: ({ text }: Echo) => writeRequest(text),
    requestDeserialize: (bytes: Uint8Array): Echo => ({ text: readRequest(bytes) }),
    responseSerialize: ({ text }: Echo) => writeResponse(text),
    responseDeserialize: (bytes: Uint8Array): Echo => ({ text: readResponse(bytes) }),
    options: { idempotencyLevel: "NO_SIDE_EFFECTS" },
  },
} as const satisfies ServiceDefinition;

/** nice-grpc has no protections of its own on the server. */
export async function startServer(port: number): Promise<void> {
  const server = createServer(OPTIONS);
  server.add(service, { echo: async ({ text }: Echo) => ({ text }) });
  await server.listen(`${HOST}:${port}`);
}

/** nice-grpc with its retry and deadline middleware. */
export async function openClient(port: number): Promise<Call> {
  const channel = createChannel(`${HOST}:${port}`, undefined, OPTIONS);
  const client = createClientFactory()
    .use(retryMiddleware)
    .use(deadlineMiddleware)
    .create(service, channel, { "*": { retry: true, retryMaxAttempts: 3 } });
  return async (text) => (await client.echo({ text }, { deadline: TIMEOUT_MS })).text;
}

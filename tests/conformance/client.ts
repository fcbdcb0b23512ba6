import { setTimeout as sleep } from "node:timers/promises";
import { create, createRegistry, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { pick } from "../judged/arguments.ts";
import { TRANSPORTS } from "../judged/transports.ts";
import { makeCall } from "./call.ts";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  ClientCompatResponseSchema,
  Codec,
  Compression,
  ConformanceService,
} from "./contract.ts";
import { frame, messagesOf } from "./framing.ts";

// Started by connectconformance with `--transport NAME`: it reads calls, makes them, and tells what came of each.
const [, open] = pick("transport", TRANSPORTS);
const MAX_AT_A_TIME = 8;
// Less than the suite waits: it gives up all the others with one that never ends.
const SETTLES_WITHIN_MS = 10_000;
const MAX_MESSAGE_BYTES = 4 * 2 ** 20;

async function answer(asked: ClientCompatRequest): Promise<void> {
  const { testName } = asked;
  const settled = new AbortController();
  const result = await Promise.race([call(asked), giveUp(settled.signal)]).then(
    (value) => ({ case: "response" as const, value }),
    (error) => ({ case: "error" as const, value: { message: String(error) } }),
  );
  settled.abort();
  write({ testName, result });
}

async function call(asked: ClientCompatRequest) {
  const { host, port, compression, serverTlsCert, clientTlsCreds, messageReceiveLimit } = asked;
  const transport = open(
    { host, port },
    {
      interceptors: [],
      maxMessageBytes: messageReceiveLimit || MAX_MESSAGE_BYTES,
      sendsGzip: compression === Compression.GZIP,
      format: asked.codec === Codec.JSON ? "json" : "proto",
      registry: createRegistry(ConformanceService.file),
      ...(serverTlsCert.byteLength > 0 && {
        tls: { ca: serverTlsCert, ...(clientTlsCreds && { client: clientTlsCreds }) },
      }),
    },
  );
  try {
    return await makeCall(transport, asked);
  } finally {
    transport.close();
  }
}

async function giveUp(signal: AbortSignal): Promise<never> {
  await sleep(SETTLES_WITHIN_MS, undefined, { signal });
  throw new Error(`the call has not settled within ${SETTLES_WITHIN_MS} ms`);
}

function write(response: MessageInitShape<typeof ClientCompatResponseSchema>): void {
  const message = create(ClientCompatResponseSchema, response);
  process.stdout.write(frame(toBinary(ClientCompatResponseSchema, message)));
}

const running = new Set<Promise<void>>();
for await (const message of messagesOf(process.stdin)) {
  const one = answer(fromBinary(ClientCompatRequestSchema, message)).finally(() => running.delete(one));
  running.add(one);
  if (running.size >= MAX_AT_A_TIME) await Promise.race(running);
}
await Promise.all(running);

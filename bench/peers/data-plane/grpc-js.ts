import {
  type CallOptions,
  type ChannelOptions,
  credentials,
  Client as GrpcClient,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";
import {
  CHAT_PATH,
  codec,
  ECHO_PATH,
  type Item,
  LIST_PATH,
  LISTED,
  STREAM_TIMEOUT_MS,
  TIMEOUT_MS,
} from "../../data-plane/contract.ts";
import { type Client, HOST } from "../../data-plane/peer.ts";
import { answersOf } from "./answers.ts";

const { write, read, writeRequest, readRequest } = codec;

const OPTIONS: ChannelOptions = {
  // As its maintainers advise for benchmarks: else a record of every call is kept.
  "grpc.enable_channelz": 0,
  // Else the clients of one process share a connection.
  "grpc.use_local_subchannel_pool": 1,
};

const item = {
  requestSerialize: write,
  requestDeserialize: read,
  responseSerialize: write,
  responseDeserialize: read,
};
const service: ServiceDefinition = {
  echo: { ...item, path: ECHO_PATH, requestStream: false, responseStream: false },
  list: {
    ...item,
    requestSerialize: writeRequest,
    requestDeserialize: readRequest,
    path: LIST_PATH,
    requestStream: false,
    responseStream: true,
  },
  chat: { ...item, path: CHAT_PATH, requestStream: true, responseStream: true },
};

const same = ({ id, n, tags }: Item) => ({ id, n, tags });

/** grpc-js and nothing else. */
export async function startServer(port: number): Promise<void> {
  const server = new Server(OPTIONS);
  server.addService(service, {
    echo: (call: ServerUnaryCall<Item, Item>, answer: sendUnaryData<Item>) =>
      answer(null, same(call.request)),
    list(call: ServerWritableStream<number, Item>) {
      let left = call.request;
      const fill = () => {
        while (left-- > 0) {
          if (!call.write(LISTED)) return call.once("drain", fill);
        }
        call.end();
      };
      fill();
    },
    chat(call: ServerDuplexStream<Item, Item>) {
      call.on("data", (said: Item) => call.write(same(said)));
      call.on("end", () => call.end());
      // Who leaves a stream resets it.
      call.on("error", () => {});
    },
  });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
}

/** grpc-js and nothing else. */
export async function openClient(port: number): Promise<Client> {
  const client = new GrpcClient(`${HOST}:${port}`, credentials.createInsecure(), OPTIONS);
  const within = (ms: number): CallOptions => ({ deadline: Date.now() + ms });
  return {
    echo: (asked) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          ECHO_PATH,
          write,
          read,
          asked,
          new Metadata(),
          within(TIMEOUT_MS),
          (error, answer) => (error || !answer ? reject(error) : resolve(answer)),
        );
      }),
    list: (count) =>
      new Promise((resolve, reject) => {
        let came = 0;
        client
          .makeServerStreamRequest(
            LIST_PATH,
            writeRequest,
            read,
            count,
            new Metadata(),
            within(STREAM_TIMEOUT_MS),
          )
          .on("data", () => came++)
          .on("error", reject)
          .on("end", () => resolve(came));
      }),
    chat() {
      const call = client.makeBidiStreamRequest(CHAT_PATH, write, read);
      const answers = answersOf<Item>();
      call.on("data", answers.came).on("error", answers.failed);
      return {
        say(said) {
          call.write(said);
          return answers.next();
        },
        close: () => call.cancel(),
      };
    },
    close: () => client.close(),
  };
}

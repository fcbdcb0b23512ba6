import {
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
  constants,
  createServer,
  type ServerHttp2Stream,
} from "node:http2";
import { listening } from "../../calls/listening.ts";
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
import { frameReader } from "./frames.ts";

const { write, read, writeRequest, readRequest } = codec;

// In MB; else many streams at once are refused.
const OPTIONS: ClientSessionOptions = { maxSessionMemory: 1_000 };
const ENVELOPE = { headerBytes: 5, lengthAt: 1 };

function envelope(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(ENVELOPE.headerBytes + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, ENVELOPE.lengthAt);
  bytes.set(message, ENVELOPE.headerBytes);
  return bytes;
}

const messages = (onMessage: (bytes: Buffer) => void) =>
  frameReader(ENVELOPE, (frame) => onMessage(frame.subarray(ENVELOPE.headerBytes)));
const same = (bytes: Buffer) => {
  const { id, n, tags } = read(bytes);
  return envelope(write({ id, n, tags }));
};

const METHODS: Readonly<Record<string, (stream: ServerHttp2Stream) => void>> = {
  [ECHO_PATH]: (stream) =>
    stream.on(
      "data",
      messages((bytes) => stream.end(same(bytes))),
    ),
  [LIST_PATH]: (stream) =>
    stream.on(
      "data",
      messages((bytes) => {
        let left = readRequest(bytes);
        const fill = () => {
          while (left-- > 0) {
            if (!stream.write(envelope(write(LISTED)))) return stream.once("drain", fill);
          }
          return stream.end();
        };
        fill();
      }),
    ),
  [CHAT_PATH]: (stream) =>
    stream
      .on(
        "data",
        messages((bytes) => stream.write(same(bytes))),
      )
      .on("end", () => stream.end()),
};

/** node:http2 with the framing of gRPC and nothing else. */
export function startServer(port: number): Promise<void> {
  const server = createServer(OPTIONS);
  server.on("stream", (stream: ServerHttp2Stream, { ":path": path = "" }) => {
    // Who leaves a stream resets it.
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    METHODS[path]?.(stream);
  });
  return listening(server, port);
}

/** node:http2 with the framing of gRPC and nothing else. */
export async function openClient(port: number): Promise<Client> {
  const session = connect(`http://${HOST}:${port}`, OPTIONS);
  const open = (path: string, timeoutMs?: number) =>
    session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...(timeoutMs !== undefined && { "grpc-timeout": `${timeoutMs}m` }),
    });
  return {
    async echo(item) {
      const stream = open(ECHO_PATH, TIMEOUT_MS);
      let answer: Item | undefined;
      stream.end(envelope(write(item)));
      await ending(stream, TIMEOUT_MS, (bytes) => {
        answer = read(bytes);
      });
      if (!answer) throw new Error("nothing was answered");
      return answer;
    },
    async list(count) {
      const stream = open(LIST_PATH, STREAM_TIMEOUT_MS);
      let came = 0;
      stream.end(envelope(writeRequest(count)));
      await ending(stream, STREAM_TIMEOUT_MS, (bytes) => {
        read(bytes);
        came++;
      });
      return came;
    },
    chat() {
      const stream = open(CHAT_PATH);
      const answers = answersOf<Item>();
      stream.on(
        "data",
        messages((bytes) => answers.came(read(bytes))),
      );
      stream.on("error", answers.failed);
      return {
        say(item) {
          stream.write(envelope(write(item)));
          return answers.next();
        },
        close: () => stream.close(constants.NGHTTP2_CANCEL),
      };
    },
    close: () => session.close(),
  };
}

/** Resolves when the stream has ended well; rejects, and resets it, if that takes too long. */
function ending(stream: ClientHttp2Stream, timeoutMs: number, onMessage: (bytes: Buffer) => void) {
  return new Promise<void>((resolve, reject) => {
    let status: unknown;
    const fail = (error: Error) => {
      clearTimeout(late);
      reject(error);
    };
    const late = setTimeout(() => {
      stream.close(constants.NGHTTP2_CANCEL);
      fail(new Error("the deadline has passed"));
    }, timeoutMs);
    stream.on("data", messages(onMessage));
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("error", fail);
    stream.on("end", () => {
      if (status !== "0") return fail(new Error(`grpc-status ${status}`));
      clearTimeout(late);
      resolve();
    });
  });
}

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Clock } from "../core/clock.ts";
import { toConnectError } from "../rpc/errors.ts";
import { NDJSON } from "./body.ts";
import { statusOf } from "./error-body.ts";
import { isWithin } from "./is-within.ts";

/** How the messages of a stream are written. */
interface StreamFormat {
  message(json: JsonValue): string;
  /** A `google.rpc.Status`, after which nothing comes. */
  error(status: JsonObject): string;
  /** That there is nothing more, if there was no error. */
  readonly end: string;
  /** That there is nothing yet, so that whoever stands between does not take the connection for dead; empty if it cannot be said. */
  readonly idle: string;
}

/** By media type; the first is what is sent to who does not say. */
const FORMATS = {
  /** A line for each, as grpc-gateway has them; a stream that breaks off ends without an error. */
  [NDJSON]: {
    message: (result) => `${JSON.stringify({ result })}\n`,
    error: (error) => `${JSON.stringify({ error })}\n`,
    end: "",
    idle: "",
  },
  // Its reader comes back when a stream just ends, so it is told that this one is done.
  "text/event-stream": {
    message: (json) => `data: ${JSON.stringify(json)}\n\n`,
    error: (status) => `event: failed\ndata: ${JSON.stringify(status)}\n\n`,
    end: "event: end\ndata: {}\n\n",
    idle: ": nothing yet\n\n",
  },
} as const satisfies Record<string, StreamFormat>;

/** A media type in which a stream can be sent. */
export type StreamType = keyof typeof FORMATS;

/** The media types in which a stream can be sent. */
export const STREAM_TYPES = Object.keys(FORMATS) as StreamType[];

/** How a stream is answered. */
export interface StreamAnswerOptions {
  readonly type: StreamType;
  readonly headers: Headers;
  readonly clock: Clock;
  /** How long the answer waits for the first message, so that an error in its place is a status. Milliseconds. */
  readonly firstWithinMs: number;
  /** How long the answer is silent before it says that there is nothing yet. Milliseconds. */
  readonly silentForMs: number;
  /** Called when the reader has gone. */
  readonly onLeft: () => void;
}

/**
 * An answer of many messages, each sent when it is there and no sooner than the reader takes it. Rejects with the error
 * that came in place of the first message; a later one is the last thing in the stream.
 */
export async function streamAnswer(
  messages: AsyncIterable<JsonValue>,
  { type, headers, clock, firstWithinMs, silentForMs, onLeft }: StreamAnswerOptions,
): Promise<Response> {
  const format: StreamFormat = FORMATS[type];
  const iterator = messages[Symbol.asyncIterator]();
  const first = iterator.next();
  await isWithin(first, firstWithinMs, clock);

  let next: typeof first | undefined = first;
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const write = (text: string) => {
          if (text !== "") controller.enqueue(encoder.encode(text));
        };
        try {
          next ??= iterator.next();
          if (format.idle !== "" && !(await isWithin(next, silentForMs, clock))) return write(format.idle);
          const { done, value } = await next;
          next = undefined;
          if (!done) return write(format.message(value));
          write(format.end);
        } catch (error) {
          write(format.error(statusOf(toConnectError(error))));
        }
        controller.close();
      },
      cancel: onLeft,
    },
    // One that nobody reads is not read ahead.
    { highWaterMark: 0 },
  );
  headers.set("content-type", type);
  headers.set("cache-control", "no-store");
  return new Response(body, { headers });
}

import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  decodeBinaryHeader,
  encodeBinaryHeader,
} from "@connectrpc/connect";
import { expect } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { InteropService } from "./contract.ts";
import { REFUSAL } from "./refusal.ts";
import { turnTaking } from "./turn-taking.ts";

type Peer = Client<typeof InteropService>;

const BYTES = Uint8Array.of(0, 44, 255, 61, 10);
const GZIP_BYTES = 2 ** 20;
const LARGE_BYTES = 4 * 2 ** 20 - 64;
const STREAMS = 1_000;

/** What any two peers of gRPC must be able to do, as a client does and sees it. The peer in Go has the same cases. */
export const CASES = {
  async "one request, one answer"(peer: Peer) {
    expectBytes((await peer.unary({ payload: BYTES })).payload, BYTES);
  },

  async "many requests, one answer"(peer: Peer) {
    async function* requests() {
      for (let i = 0; i < 100; i++) yield { payload: BYTES };
    }
    const { count, payload } = await peer.clientStream(requests());
    expect(count).toBe(100);
    expectBytes(payload, BYTES);
  },

  async "one request, many answers, in their order"(peer: Peer) {
    const answers = await Array.fromAsync(peer.serverStream({ answers: 100 }));
    expect(answers.map(({ count }) => count)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  },

  async "requests and answers in turns"(peer: Peer) {
    const turns = turnTaking(peer);
    for (let i = 0; i < 10; i++) {
      const payload = Uint8Array.of(i);
      expectBytes((await turns.take(payload)).payload, payload);
    }
    await turns.end();
  },

  async "metadata goes both ways, text and bytes"(peer: Peer) {
    let header = new Headers();
    let trailer = new Headers();
    const options: CallOptions = {
      headers: { "x-text": "a text", "x-raw-bin": encodeBinaryHeader(BYTES) },
      onHeader(value) {
        header = value;
      },
      onTrailer(value) {
        trailer = value;
      },
    };
    await peer.unary({}, options);
    expect([header.get("x-text"), trailer.get("x-text-end")]).toEqual(["a text", "a text"]);
    expect(decodeBinaryHeader(header.get("x-raw-bin") ?? "")).toEqual(BYTES);
    expect(decodeBinaryHeader(trailer.get("x-raw-end-bin") ?? "")).toEqual(BYTES);
  },

  async "a status arrives with its details"(peer: Peer) {
    expectRefusal(await failureOf(peer.unary({ act: "fail" })));
  },

  async "a status arrives after the answers before it"(peer: Peer) {
    const counts: number[] = [];
    const watching = async () => {
      for await (const { count } of peer.serverStream({ answers: 3, act: "fail" })) counts.push(count);
    };
    expectRefusal(await failureOf(watching()));
    expect(counts).toEqual([0, 1, 2]);
  },

  async "the server knows the deadline"(peer: Peer) {
    const { count } = await peer.unary({}, { timeoutMs: 60_000 });
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThanOrEqual(60_000);
  },

  async "a call that is not answered in time is DEADLINE_EXCEEDED"(peer: Peer) {
    const { code } = await failureOf(peer.unary({ act: "hang" }, { timeoutMs: 200 }));
    expect(code).toBe(Code.DeadlineExceeded);
  },

  async "a call that is cancelled is so at the server"(peer: Peer) {
    const cancelled = async () => (await peer.unary({ act: "cancelled" })).count;
    const before = await cancelled();
    const cancelling = new AbortController();
    const watching = async () => {
      const options = { signal: cancelling.signal };
      for await (const _ of peer.serverStream({ answers: 1, act: "hang" }, options)) cancelling.abort();
    };
    expect((await failureOf(watching())).code).toBe(Code.Canceled);
    while ((await cancelled()) === before);
  },

  async "messages are compressed with gzip"(peer: Peer) {
    const payload = new Uint8Array(GZIP_BYTES);
    expectBytes((await peer.unary({ payload })).payload, payload);
  },

  async "a message of 4 MiB goes both ways"(peer: Peer) {
    const payload = Buffer.alloc(LARGE_BYTES, "weft");
    expectBytes((await peer.unary({ payload })).payload, payload);
  },

  async "1,000 streams are open at once"(peer: Peer) {
    const streams = Array.from({ length: STREAMS }, () => turnTaking(peer));
    const take = (round: number) =>
      Promise.all(
        streams.map(async (turns, i) => {
          const payload = Uint8Array.of(i % 256, round);
          const answer = await turns.take(payload);
          expectBytes(answer.payload, payload);
          return answer.count;
        }),
      );
    expect(Math.max(...(await take(1)))).toBe(STREAMS);
    await take(2);
    await Promise.all(streams.map((turns) => turns.end()));
  },
} satisfies Record<string, (peer: Peer) => Promise<void>>;

export type CaseName = keyof typeof CASES;

/** The case whose bytes on the wire are counted, and how many there may be in each direction. */
export const COMPRESSED = {
  name: "messages are compressed with gzip" as CaseName,
  maxBytes: GZIP_BYTES / 16,
};

/** Some transports give buffers of Node, and some plain arrays of bytes. */
function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.byteLength).toBe(expected.byteLength);
  expect(Buffer.compare(actual, expected)).toBe(0);
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  try {
    await call;
  } catch (error) {
    expect(error).toBeInstanceOf(ConnectError);
    return error as ConnectError;
  }
  throw new Error("the call has not failed");
}

function expectRefusal(error: ConnectError): void {
  expect([error.code, error.rawMessage]).toEqual([REFUSAL.code, REFUSAL.text]);
  expect(error.findDetails(ErrorInfoSchema)).toMatchObject([REFUSAL.info]);
}

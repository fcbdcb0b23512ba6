import { duplexPair } from "node:stream";
import { expect, test } from "vitest";
import { manualClock } from "../testing/clock.ts";
import { ErrorCode } from "./error-code.ts";
import { Flag, FrameType, PREFACE, writeFrameHead } from "./frame.ts";
import type { CutOff } from "./guard.ts";
import { HpackEncoder } from "./hpack/encoder.ts";
import { ServerConnection } from "./server-connection.ts";
import { Unheard } from "./unheard.ts";

class Answering extends Unheard {
  override onHeaders(): void {
    this.sendHeaders([{ name: ":status", value: "200" }], true);
  }
}

function frame(type: number, flags: number, streamId: number, payload = Buffer.alloc(0)): Buffer {
  const whole = Buffer.alloc(9 + payload.length);
  writeFrameHead(whole, 0, payload.length, type, flags, streamId);
  payload.copy(whole, 9);
  return whole;
}

const CANCEL = Buffer.of(0, 0, 0, ErrorCode.CANCEL);
const PING = frame(FrameType.PING, 0, 0, Buffer.alloc(8));

/** A connection on which time stands still, whose streams are answered at once, or never. */
function server() {
  const [near, far] = duplexPair();
  far.resume();
  const cutOffs: CutOff[] = [];
  let isAnswering = true;
  const connection = new ServerConnection(near, () => (isAnswering ? new Answering() : new Unheard()), {
    clock: manualClock(),
    allowances: { RESETS: { burst: 10, perSecond: 0 }, PINGS: { burst: 10, perSecond: 0 } },
    onGuard: (guard) => void cutOffs.push(guard),
  });
  connection.feed(Buffer.concat([PREFACE, frame(FrameType.SETTINGS, 0, 0)]));
  const encoder = new HpackEncoder();
  let streamId = -1;
  const begin = (answers: boolean) => {
    isAnswering = answers;
    const block = Buffer.alloc(200);
    const fields = [
      { name: ":method", value: "POST" },
      { name: ":scheme", value: "http" },
      { name: ":path", value: "/" },
    ];
    streamId += 2;
    const flags = Flag.END_HEADERS | (answers ? Flag.END_STREAM : 0);
    connection.feed(
      frame(FrameType.HEADERS, flags, streamId, block.subarray(0, encoder.encode(fields, block, 0))),
    );
  };
  return {
    cutOffs,
    feed: (octets: Buffer) => connection.feed(octets),
    answer: () => begin(true),
    leave() {
      begin(false);
      connection.feed(frame(FrameType.RST_STREAM, 0, streamId, CANCEL));
    },
  };
}

test("streams that a peer ends are allowed for as many as were answered, beside the allowance", () => {
  const { cutOffs, answer, leave } = server();
  for (let i = 0; i < 100; i++) {
    answer();
    leave();
  }
  // The last of them was paid for before it came: with all that is allowed, an answer adds nothing.
  for (let i = 0; i < 9; i++) leave();
  expect(cutOffs).toEqual([]);
  leave();
  expect(cutOffs).toEqual(["RESETS"]);
});

test("answers are no savings: no more can be ended at once than the allowance says", () => {
  const { cutOffs, answer, leave } = server();
  for (let i = 0; i < 100; i++) answer();
  for (let i = 0; i < 10; i++) leave();
  expect(cutOffs).toEqual([]);
  leave();
  expect(cutOffs).toEqual(["RESETS"]);
});

test("a peer may ping once after each answer, beside the allowance, to measure how far away it is", () => {
  const { cutOffs, answer, feed } = server();
  for (let i = 0; i < 100; i++) {
    answer();
    feed(PING);
  }
  for (let i = 0; i < 10; i++) feed(PING);
  expect(cutOffs).toEqual([]);
  feed(PING);
  expect(cutOffs).toEqual(["PINGS"]);
});

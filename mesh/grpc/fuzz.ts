import { isDeepStrictEqual } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { formatGrpcTimeout, parseGrpcTimeout } from "../core/grpc-timeout.ts";
import type { HeaderField } from "../http2/hpack/header-field.ts";
import { EnvelopeReader } from "./envelope.ts";
import { envelopeHead } from "./envelope-head.ts";
import { fromTrailers, toTrailers } from "./status.ts";

/** What the cases of one run came to, so that a run which tried nothing is seen. */
export interface FuzzTally {
  messages: number;
  gathered: number;
  refusals: number;
  malformedStreams: number;
  timeouts: number;
  malformedTimeouts: number;
  statuses: number;
  malformedStatuses: number;
}

/**
 * Tries so many random inputs on envelopes, timeouts and statuses, against a plain model of each. The same seed gives the
 * same inputs. Throws an error that names the seed and the case where one is not as the model says.
 */
export function fuzzGrpcWire({ seed, cases }: { seed: number; cases: number }): FuzzTally {
  const tally: FuzzTally = {
    messages: 0,
    gathered: 0,
    refusals: 0,
    malformedStreams: 0,
    timeouts: 0,
    malformedTimeouts: 0,
    statuses: 0,
    malformedStatuses: 0,
  };
  const dice = diceOf(seed);
  for (let i = 0; i < cases; i++) {
    try {
      const kind = dice.below(5);
      if (kind < 3) tryEnvelopes(dice, tally);
      else if (kind === 3) tryTimeouts(dice, tally);
      else tryStatus(dice, tally);
    } catch (cause) {
      throw new Error(`case ${i} of seed ${seed}: ${(cause as Error).message}`, { cause });
    }
  }
  return tally;
}

interface Dice {
  below(count: number): number;
  chance(probability: number): boolean;
  pick<T>(values: readonly T[]): T;
  text(chars: string, maxLength: number): string;
}

/** The generator mulberry32. */
function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count: number) => Math.floor(next() * count);
  return {
    below,
    chance: (probability) => next() < probability,
    pick: <T>(values: readonly T[]) => values[below(values.length)] as T,
    text: (chars, maxLength) =>
      Array.from({ length: below(maxLength + 1) }, () => chars[below(chars.length)]).join(""),
  };
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** The messages of a stream, as flags and bytes in hexadecimal, and how it ends. */
interface Outcome {
  readonly messages: readonly string[];
  readonly end: Code | "whole";
}

function tryEnvelopes(dice: Dice, tally: FuzzTally): void {
  const maxBytes = dice.below(dice.pick([300, 5_000]));
  const mayBeCompressed = dice.chance(0.5);
  const bytes = anyStream(dice, maxBytes, mayBeCompressed ? 1 : 0);
  const expected = plainly(bytes, maxBytes, mayBeCompressed);
  const messages: string[] = [];
  const reader = new EnvelopeReader(maxBytes, (flags, message) => {
    messages.push(`${flags}:${message.toString("hex")}`);
    check(reader.buffered === 0, "a message that was handed out is still held");
  });
  reader.mayBeCompressed = mayBeCompressed;
  let end: Outcome["end"] = "whole";
  try {
    for (let at = 0; at < bytes.length; ) {
      const size = Math.min(bytes.length - at, 1 + dice.below(dice.pick([1, 40, 4_000])));
      // Somewhere within what one read of a socket brought.
      const before = dice.below(4);
      const chunk = Buffer.alloc(before + size + dice.below(4), 0xee);
      bytes.copy(chunk, before, at, at + size);
      reader.push(chunk, before, before + size);
      at += size;
      check(reader.buffered <= at, "more is held than came");
      check(reader.expected <= maxBytes, "more is expected than is allowed");
      if (reader.expected > 0) tally.gathered++;
    }
    reader.finish();
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    end = error.code;
    check(reader.buffered === 0 && reader.expected === 0, "something is held after an error");
  }
  check(
    isDeepStrictEqual({ messages, end }, expected),
    `${bytes.toString("hex")} up to ${maxBytes} is read wrong`,
  );
  tally.messages += messages.length;
  if (end === Code.ResourceExhausted) tally.refusals++;
  else if (end !== "whole") tally.malformedStreams++;
}

/** Messages as they should be, and sometimes some bytes that are not. */
function anyStream(dice: Dice, maxBytes: number, maxFlag: number): Buffer {
  const parts = Array.from({ length: dice.below(6) }, () => {
    const message = Buffer.alloc(dice.below(dice.pick([1, 4, maxBytes + 1, maxBytes + 2])), dice.below(256));
    return Buffer.concat([envelopeHead(dice.below(maxFlag + 1), message.length), message]);
  });
  const bytes = Buffer.concat(parts);
  if (dice.chance(0.3)) return bytes.subarray(0, dice.below(bytes.length + 1));
  if (bytes.length > 0 && dice.chance(0.3)) bytes[dice.below(bytes.length)] = dice.below(256);
  return bytes;
}

/** What PROTOCOL-HTTP2 says of these bytes, when all of them are there. */
function plainly(bytes: Buffer, maxBytes: number, mayBeCompressed: boolean): Outcome {
  const messages: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 5 > bytes.length) return { messages, end: Code.Internal };
    const flags = bytes.readUInt8(at);
    const length = bytes.readUInt32BE(at + 1);
    if (flags > (mayBeCompressed ? 1 : 0)) return { messages, end: Code.Internal };
    if (length > maxBytes) return { messages, end: Code.ResourceExhausted };
    if (at + 5 + length > bytes.length) return { messages, end: Code.Internal };
    messages.push(`${flags}:${bytes.toString("hex", at + 5, at + 5 + length)}`);
    at += 5 + length;
  }
  return { messages, end: "whole" };
}

const UNIT_MS = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 } as const;

function tryTimeouts(dice: Dice, tally: FuzzTally): void {
  const text = dice.text("0123456789", 9) + dice.text(dice.chance(0.8) ? "HMSmun" : "0HsX. -", 1);
  const [, digits, unit] = /^([0-9]{1,8})([HMSmun])$/.exec(text) ?? [];
  const readMs = parseGrpcTimeout(text);
  if (digits === undefined) {
    check(readMs === undefined, `${text} is read as ${readMs}`);
    tally.malformedTimeouts++;
  } else {
    const plainMs = Number(digits) * UNIT_MS[unit as keyof typeof UNIT_MS];
    check(Math.abs((readMs ?? -1) - plainMs) < 1e-6, `${text} is read as ${readMs}`);
    tally.timeouts++;
  }
  const timeoutMs = (dice.below(2_000_000) - 1_000) * dice.pick([1e-4, 1e-3, 1, 777, 1e3, 1e6]);
  const written = formatGrpcTimeout(timeoutMs);
  const backMs = parseGrpcTimeout(written) ?? -1;
  check(/^[0-9]{1,8}[HMSmu]$/.test(written), `${timeoutMs} ms are written ${written}`);
  check(backMs >= 0 && backMs <= Math.max(0, timeoutMs), `${timeoutMs} ms are written ${written}`);
}

const TEXT = "aZ09 %2c4\n\r\0\t\x7f\xe9\u20ac\ud83d\ude08\ud800";
const BYTES = "0123456789 abc%C3%A9\xff\0\n=/+";
const NAMES = [
  "grpc-status",
  "grpc-message",
  "grpc-status-details-bin",
  "x-own",
  "content-type",
  ":status",
  "a b",
  "",
];

function tryStatus(dice: Dice, tally: FuzzTally): void {
  const error = new ConnectError(dice.text(TEXT, 12), (1 + dice.below(16)) as Code, { "x-own": "a" });
  if (dice.chance(0.5)) error.details = [{ desc: ErrorInfoSchema, value: { reason: dice.text("abc", 9) } }];
  const trailers = toTrailers(error);
  for (const { name, value } of trailers) {
    const isLegal = /^[0-9a-z_.-]+$/.test(name) && /^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$/.test(value);
    check(isLegal, `${name} is sent as ${JSON.stringify(value)}`);
  }
  const arrived = fromTrailers(trailers);
  const seen = (each: ConnectError | undefined) => ({
    code: each?.code,
    text: each?.rawMessage.toWellFormed(),
    details: each?.findDetails(ErrorInfoSchema),
    own: each?.metadata.get("x-own"),
  });
  check(isDeepStrictEqual(seen(arrived), seen(error)), `${error} arrives as ${arrived}`);
  tally.statuses++;

  const damaged: HeaderField[] = Array.from({ length: dice.below(5) }, () => ({
    name: dice.pick(NAMES),
    value: dice.pick(["0", "5", "16", "17", dice.text(BYTES, 8), dice.pick(trailers).value]),
  }));
  const statuses = damaged.filter(({ name }) => name === "grpc-status");
  const isOk = statuses.length === 1 && statuses[0]?.value === "0";
  const read = fromTrailers(damaged);
  check((read === undefined) === isOk, `${JSON.stringify(damaged)} is read as ${read}`);
  check(read === undefined || Code[read.code] !== undefined, `${JSON.stringify(damaged)} has no code`);
  if (!isOk) tally.malformedStatuses++;
}

import { createHash } from "node:crypto";
import { type DescMessage, toBinary } from "@bufbuild/protobuf";
import { DescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { MsgHdrs } from "@nats-io/nats-core";
import { Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { type Carried, readCarried } from "../core/carried.ts";

/** The headers of a message, written as they stand here: CloudEvents 1.0 in the binary mode of its NATS binding. */
export type Headers = Readonly<Record<string, string>>;

/** What a consumer reads of a message's headers. */
export interface Envelope {
  readonly eventId: string;
  readonly type: string;
  /** Empty if the message has none, which only the ordering NONE allows. */
  readonly key: string;
  /** The number of this event among those of its key: 1, 2, 3, ... without gaps. 0 if it has none. */
  readonly keySeq: number;
  /** The stream sequence of the key's event before this one: 0 for the first, `pruned` when nobody knows any more. */
  readonly prevSeq: number | "pruned";
  readonly time: string;
  /** Until when the message is worth handling; undefined if that has no end. */
  readonly expiryTime: string | undefined;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
  /** What the request that it comes of takes along. */
  readonly carried: Carried | undefined;
}

/** A message that no version of its consumer can read. */
export class UndecodableError extends Error {
  override readonly name = "UndecodableError";
}

/**
 * Reads what an ordering, STRICT unless told otherwise, needs of a message's envelope. Throws an {@link UndecodableError} that names the header that is
 * missing or wrong.
 */
export function readEnvelope(headers: MsgHdrs | undefined, ordering: Ordering = Ordering.STRICT): Envelope {
  const has = (name: string) => Boolean(headers?.get(name));
  const read = (name: string) => {
    const value = headers?.get(name);
    if (!value) throw new UndecodableError(`the header ${name} is missing`);
    return decodeHeader(value);
  };
  const count = (name: string, least: number, most: number) => {
    const text = read(name);
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) throw new UndecodableError(`the header ${name} is no number`);
    return value;
  };
  const time = (name: string) => {
    const text = read(name);
    if (Number.isNaN(Date.parse(text))) throw new UndecodableError(`the header ${name} is no time`);
    return text;
  };
  const eventId = read("ce-id");
  if (!UUID.test(eventId)) throw new UndecodableError("the header ce-id is no UUID");
  const prevSeq = () =>
    read("ce-prevseq") === "pruned" ? "pruned" : count("ce-prevseq", 0, Number.MAX_SAFE_INTEGER);
  const isKeyed = ordering !== Ordering.NONE;
  return {
    eventId,
    type: read("ce-type"),
    key: isKeyed || has("ce-partitionkey") ? read("ce-partitionkey") : "",
    keySeq: isKeyed || has("ce-keyseq") ? count("ce-keyseq", 1, MOST_KEY_SEQ) : 0,
    prevSeq: ordering === Ordering.STRICT || has("ce-prevseq") ? prevSeq() : "pruned",
    time: read("ce-time"),
    expiryTime: has("ce-expirytime") ? time("ce-expirytime") : undefined,
    correlationId: read("ce-correlationid"),
    traceparent: headers?.get("traceparent") || undefined,
    carried: readCarried((name) => headers?.get(name)),
  };
}

// What its column holds.
const MOST_KEY_SEQ = 2 ** 31 - 1;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A value as CloudEvents puts it into a header: space, quote, percent and all that is no printable ASCII is escaped. */
export function encodeHeader(value: string): string {
  return value.replace(/[^\x21\x23\x24\x26-\x7e]/gu, (char) =>
    [...Buffer.from(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** A header's value as it was before {@link encodeHeader}. */
export function decodeHeader(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw new UndecodableError("a header is not percent-encoded UTF-8");
  }
}

const schemas = new WeakMap<DescMessage, string>();

/** Names the version of a message's definition, so that a reader can tell which one wrote it. */
export function dataSchema(message: DescMessage): string {
  let uri = schemas.get(message);
  if (!uri) {
    const hash = createHash("sha256").update(toBinary(DescriptorProtoSchema, message.proto)).digest("hex");
    uri = `proto://${message.typeName}#${hash.slice(0, 12)}`;
    schemas.set(message, uri);
  }
  return uri;
}

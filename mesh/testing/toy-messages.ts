import { create, toBinary } from "@bufbuild/protobuf";
import type { JsMsg } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { newId } from "../core/ids.ts";
import type { Toys } from "./toys.ts";

/** An event of a toy as it stands in a stream. */
export interface ToyMessage {
  readonly key: string;
  readonly keySeq: number;
  /** Its place in the stream. */
  readonly seq: number;
  readonly prevSeq: number | "pruned";
  readonly event?: "Moved" | "Painted";
  /** Defaults to a new one. */
  readonly eventId?: string;
  /** Bytes in place of an event that can be read. */
  readonly data?: Uint8Array;
}

/** The headers of a toy's event, as publisher and relay write them. */
export function toyHeaders(toys: Toys, { key, keySeq, prevSeq, event = "Moved", eventId }: ToyMessage) {
  const id = eventId ?? newId();
  return {
    "ce-specversion": "1.0",
    "ce-id": id,
    "ce-source": `/test/${toys.aggregate}`,
    "ce-type": toys[event].typeName,
    "ce-subject": key,
    "ce-time": "2026-01-01T12:00:00.000Z",
    "ce-datacontenttype": "application/protobuf",
    "ce-partitionkey": key,
    "ce-keyseq": String(keySeq),
    "ce-prevseq": String(prevSeq),
    "ce-correlationid": id,
    "ce-causationid": id,
  };
}

/** The bytes of a toy's event; its `n` is its number within the key. */
export function toyPayload(toys: Toys, { key, keySeq, event = "Moved" }: ToyMessage): Uint8Array {
  return toBinary(toys[event], create(toys[event], { toyId: key, n: keySeq }));
}

/** A message as a consumer gets it, without a broker: nobody waits for its answer. */
export function toyMessage(toys: Toys, toy: ToyMessage, deliveryCount = 1): JsMsg {
  const headers = natsHeaders();
  for (const [name, value] of Object.entries(toyHeaders(toys, toy))) headers.set(name, value);
  const { seq, event = "Moved" } = toy;
  const message: Partial<JsMsg> = {
    seq,
    subject: `evt.${toys.aggregate}.v1.p00.${event}`,
    headers,
    data: toy.data ?? toyPayload(toys, toy),
    info: {
      stream: toys.stream,
      consumer: toys.consumer,
      streamSequence: seq,
      deliverySequence: seq,
      deliveryCount,
      timestampNanos: Date.parse("2026-01-01T12:00:00Z") * 1e6,
      pending: 0,
      domain: "",
      redelivered: deliveryCount > 1,
    } as JsMsg["info"],
  };
  return message as JsMsg;
}

import { create, type Registry } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type AuditedEvent, AuditedEventSchema } from "../../gen/shop/audit/v1/audit_pb.ts";
import type { StoredEvent } from "./audit.ts";
import { contentOf } from "./content.ts";

/** An event as the contract says it. */
export function toMessage(contracts: Registry, event: StoredEvent): AuditedEvent {
  const { keySeq, streamSeq, eventTime, recordTime, payload, place: _, headers: __, ...same } = event;
  return create(AuditedEventSchema, {
    ...same,
    keySeq: BigInt(keySeq),
    streamSeq: BigInt(streamSeq),
    eventTime: timestampFromDate(eventTime),
    recordTime: timestampFromDate(recordTime),
    payload: contentOf(contracts, event.type, payload),
  });
}

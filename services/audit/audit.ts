import { AuditError, AuditErrorSchema } from "../../gen/shop/audit/v1/audit_error_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";

/** The refusals of this service. */
export const refuse = refusals<AuditError>(AuditErrorSchema);

/** An event as it came by. */
export interface AuditedEvent {
  readonly eventId: string;
  /** The full name of its message. */
  readonly type: string;
  /** Empty if it has none. */
  readonly key: string;
  /** 0 if it has none. */
  readonly keySeq: number;
  readonly source: string;
  readonly stream: string;
  readonly streamSeq: number;
  readonly subject: string;
  readonly correlationId: string;
  readonly causationId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Uint8Array;
  /** When it happened, by its publisher's clock. */
  readonly eventTime: Date;
}

/** An event as it is kept. */
export interface StoredEvent extends AuditedEvent {
  readonly recordTime: Date;
  readonly place: Place;
}

/** Where a row stands for those who follow: rows become visible in this order. */
export interface Place {
  /** The transaction that wrote it. */
  readonly tx: string;
  readonly id: number;
}

/** Which events. What is empty does not matter. */
export interface EventFilter {
  /** The full name of their message, or its last part. */
  readonly type: string;
  readonly key: string;
}

/** The refusal of an id that names no event. */
export function eventNotFound(eventId: string) {
  const metadata = { event_id: eventId };
  return refuse(AuditError.EVENT_NOT_FOUND, `no event ${eventId} has come by`, { metadata });
}

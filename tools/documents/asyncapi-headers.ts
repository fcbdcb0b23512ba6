import type { DescMessage } from "@bufbuild/protobuf";
import { Kind, Ordering } from "../../gen/mesh/event/v1/event_pb.ts";
import { eventContract } from "../../mesh/contract/event.ts";
import { sourceOf } from "../../mesh/events/publish.ts";
import type { Schema } from "./json-schema.ts";

const ID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";
const TRACE = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$";

/** The headers of a message, as publisher and relay write them, as a JSON Schema. */
export function eventHeaders(message: DescMessage): Schema {
  const { kind, type, owner, senders, keyField, ordering, ttlMs, stream } = eventContract(message);
  const sources = [owner, ...(kind === Kind.COMMAND ? senders : [])].map((each) => sourceOf(type, each));
  const isNumbered = keyField !== undefined && ordering !== Ordering.NONE;
  const always = {
    "Nats-Msg-Id": text("The message's id: the broker recognises what it has stored already.", {
      pattern: ID,
    }),
    "Nats-Expected-Stream": text("The stream that keeps it.", { const: stream }),
    "ce-specversion": text("The version of CloudEvents.", { const: "1.0" }),
    "ce-id": text("The message's own id.", { pattern: ID }),
    "ce-source": text("Who speaks.", { enum: [...new Set(sources)] }),
    "ce-type": text("The full name of the message.", { const: type }),
    "ce-time": text("When it was put into the outbox, by the publisher's database.", { format: "date-time" }),
    "ce-datacontenttype": text("What the bytes are.", { const: "application/protobuf" }),
    "ce-dataschema": text("The version of the message's definition that wrote it.", {
      pattern: `^proto://${type.replaceAll(".", "\\.")}#[0-9a-f]{12}$`,
    }),
    "ce-correlationid": text("The request or event that began it all."),
    "ce-causationid": text("The request or event that caused it."),
    "ce-traceparent": text("The trace that it was published in, whatever hops come after.", {
      pattern: TRACE,
    }),
    traceparent: text("The trace of this hop (W3C Trace Context).", { pattern: TRACE }),
    ...(keyField !== undefined && {
      "ce-subject": text(`The key, \`${keyField}\`, percent-encoded where it is no printable ASCII.`),
      "ce-partitionkey": text("The key, once more, as the CloudEvents extension for partitioning has it."),
    }),
    ...(isNumbered && {
      "ce-keyseq": text("The number of this event among those of its key: 1, 2, 3, ... without gaps.", {
        pattern: "^[1-9][0-9]*$",
      }),
      "ce-prevseq": text(
        "The stream sequence of the key's event before this one: 0 for the first, `pruned` when nobody knows any more.",
        { pattern: "^([0-9]+|pruned)$" },
      ),
    }),
    ...(ttlMs !== undefined && {
      "ce-expirytime": text("Until when it is worth handling.", { format: "date-time" }),
    }),
  };
  const sometimes = {
    tracestate: text("What tracing systems add (W3C Trace Context)."),
    baggage: text("What the request that it comes of takes along (W3C Baggage)."),
    tenant: text("The tenant that the request is for."),
  };
  return {
    type: "object",
    properties: { ...always, ...sometimes },
    required: Object.keys(always),
  };
}

function text(description: string, more: Schema = {}): Schema {
  return { type: "string", description, ...more };
}

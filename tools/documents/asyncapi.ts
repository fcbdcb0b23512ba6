import { type DescMessage, type DescService, getOption } from "@bufbuild/protobuf";
import { Kind, OnDeadSchema, OrderingSchema, subscriptions } from "../../gen/mesh/event/v1/event_pb.ts";
import {
  ANY_TYPE,
  eventContract,
  isContracted,
  type SubscriptionContract,
  streamContract,
  subscriptionContract,
} from "../../mesh/contract/event.ts";
import { consumerName, serviceName } from "../../mesh/events/handlers.ts";
import { PARTITIONS, partitionOf, subjectIn } from "../../mesh/events/subject.ts";
import { eventHeaders } from "./asyncapi-headers.ts";
import { commentOf, paragraphs } from "./describe.ts";
import { jsonSchemas, type Schema } from "./json-schema.ts";
import type { DocumentInfo } from "./openapi.ts";

/** What the document is made of: all services and messages that there are. */
export interface DocumentedEvents {
  readonly services: readonly DescService[];
  readonly messages: readonly DescMessage[];
}

/**
 * What is published, sent and handled, as AsyncAPI 3.1: a channel for each event and command, an operation for each service
 * that sends it and each subscription that handles it. Undefined if there are no events.
 */
export function asyncapi(info: DocumentInfo, { services, messages }: DocumentedEvents): Schema | undefined {
  const events = messages.filter(isContracted);
  if (events.length === 0) return undefined;
  const schemas = jsonSchemas();
  const payloads = Object.fromEntries(
    events.map((message) => [message.typeName, messageOf(message, schemas.ofMessage(message, "answer"))]),
  );
  return {
    asyncapi: "3.1.0",
    info: {
      title: `${info.title}: events`,
      version: info.version,
      description: DESCRIPTION,
      license: { name: "Apache-2.0" },
    },
    defaultContentType: CONTENT_TYPE,
    servers: {
      broker: {
        host: "127.0.0.1:14222",
        protocol: "nats",
        description: "The broker that `make run` starts: NATS JetStream.",
      },
    },
    channels: Object.fromEntries(events.map((message) => [message.typeName, channelOf(message)])),
    operations: Object.fromEntries([
      ...events.flatMap(sendingOf),
      ...services.flatMap((each) => receivingOf(each, events)),
    ]),
    components: {
      messages: payloads,
      schemas: schemas.components(),
      parameters: {
        partition: {
          description: `The partition of the key, of ${PARTITIONS}: its 32-bit FNV-1a, as nats-server's own partition() computes it. Of a message without a key, that of its id.`,
          examples: [partitionOf("order-1"), partitionOf("order-2")],
        },
      },
    },
  };
}

const CONTENT_TYPE = "application/protobuf";

const DESCRIPTION = `Every event and command in the contracts, from which this document is generated: who publishes it, who
handles it, under which subject and in which order.

A message is CloudEvents 1.0 in the binary mode of its NATS binding. Its bytes are Protobuf; the schema of a payload is that of the
same message in proto3 JSON, in which audit shows it.`;

function channelOf(message: DescMessage): Schema {
  const contract = eventContract(message);
  const { name, maxAgeMs, maxBytes, duplicateWindowMs, replicas } = streamContract(message);
  return {
    address: subjectIn(contract, "{partition}"),
    title: message.name,
    ...described(commentOf(message)),
    messages: { [message.name]: { $ref: `#/components/messages/${message.typeName}` } },
    parameters: { partition: { $ref: "#/components/parameters/partition" } },
    "x-kind": contract.kind === Kind.COMMAND ? "command" : "event",
    "x-key": contract.keyField ?? null,
    "x-ordering": OrderingSchema.value[contract.ordering]?.localName,
    ...(contract.ttlMs !== undefined && { "x-ttl-seconds": contract.ttlMs / 1000 }),
    "x-jetstream": {
      stream: name,
      maxAgeSeconds: maxAgeMs / 1000,
      maxBytes,
      duplicateWindowSeconds: duplicateWindowMs / 1000,
      replicas,
    },
  };
}

function messageOf(message: DescMessage, payload: Schema): Schema {
  return {
    name: message.typeName,
    title: message.name,
    ...described(commentOf(message)),
    contentType: CONTENT_TYPE,
    headers: eventHeaders(message),
    correlationId: {
      location: "$message.header#/ce-correlationid",
      description: "The request or event that began it all.",
    },
    payload,
  };
}

/** Who publishes an event, or sends a command. */
function sendingOf(message: DescMessage): [string, Schema][] {
  const { owner, senders, kind } = eventContract(message);
  const verb = kind === Kind.COMMAND ? "sends" : "publishes";
  return [...new Set([owner, ...senders])].map((service) => [
    `${service}.${verb}.${message.typeName}`,
    operationOf("send", message, service, `${service} ${verb} it, in the transaction of what it tells of.`),
  ]);
}

/** What the subscriptions of a service handle. */
function receivingOf(service: DescService, events: readonly DescMessage[]): [string, Schema][] {
  return getOption(service, subscriptions).flatMap(({ name }) => {
    const subscription = subscriptionContract(service, name);
    const consumer = consumerName(service, name, subscription.build);
    return events
      .filter((message) => handles(subscription, message))
      .map((message): [string, Schema] => [
        `${consumer}.handles.${message.typeName}`,
        {
          ...operationOf(
            "receive",
            message,
            serviceName(service),
            `${consumer}, a durable consumer, handles it.`,
          ),
          bindings: { nats: { queue: consumer, bindingVersion: "0.1.0" } },
          "x-jetstream": {
            stream: subscription.stream,
            durable: consumer,
            ordering: OrderingSchema.value[subscription.ordering]?.localName,
            maxAttempts: subscription.maxAttempts,
            handlerTimeoutSeconds: subscription.handlerTimeoutMs / 1000,
            onDead: OnDeadSchema.value[subscription.onDead]?.localName,
          },
        },
      ]);
  });
}

function handles({ kind, aggregate, handles: types }: SubscriptionContract, message: DescMessage): boolean {
  const contract = eventContract(message);
  if (contract.kind !== kind || contract.aggregate !== aggregate) return false;
  return types.includes(ANY_TYPE) || types.includes(contract.type);
}

function operationOf(
  action: "send" | "receive",
  message: DescMessage,
  service: string,
  summary: string,
): Schema {
  return {
    action,
    channel: { $ref: `#/channels/${message.typeName}` },
    summary,
    tags: [{ name: service }],
    messages: [{ $ref: `#/channels/${message.typeName}/messages/${message.name}` }],
  };
}

function described(text: string | undefined): Schema {
  const description = paragraphs(text);
  return description === undefined ? {} : { description };
}

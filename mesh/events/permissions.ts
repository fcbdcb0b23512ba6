import type { DescMessage, DescService } from "@bufbuild/protobuf";
import { getOption } from "@bufbuild/protobuf";
import { contract, Kind, subscriptions } from "../../gen/mesh/event/v1/event_pb.ts";
import { eventContract, isContracted, subscriptionContract } from "../contract/event.ts";
import { serviceName } from "./handlers.ts";
import { DEAD_LETTER_RECORDS, DEAD_LETTERS, REPLAYS } from "./streams.ts";
import { subjectsOf } from "./subject.ts";

/** What a broker lets a service do, as subjects. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What the permissions of a service are read from: all services and messages that there are. */
export interface Contracts {
  readonly services: readonly DescService[];
  readonly messages: readonly DescMessage[];
  /** The service that offers DeadLetterService and ConsumerService. Defaults to none. */
  readonly operating?: string;
}

const REGISTRY = "weft_registry";

/** What it takes to show dead letters and consumers, and to settle letters. */
const OPERATING: readonly string[] = [
  ...[REPLAYS, DEAD_LETTER_RECORDS].flatMap(({ subjects }) => subjects),
  `$JS.API.STREAM.CREATE.${DEAD_LETTER_RECORDS.name}`,
  `$JS.API.STREAM.INFO.${DEAD_LETTER_RECORDS.name}`,
  `$JS.API.STREAM.MSG.DELETE.${DEAD_LETTERS.name}`,
  `$JS.API.CONSUMER.CREATE.${DEAD_LETTERS.name}`,
  ...["CREATE", "DELETE", "MSG.NEXT"].map((call) => `$JS.API.CONSUMER.${call}.${DEAD_LETTERS.name}.>`),
  "$JS.API.STREAM.NAMES",
  "$JS.API.CONSUMER.LIST.*",
];

/**
 * The least that a service needs of a NATS broker, read from the contracts: to publish its own events and dead letters, to
 * read its own subscriptions, to say where it is, to find others, and to listen on its own inbox. The subjects of the
 * JetStream API are those of nats-server 2.9 and later.
 */
export function permissionsOf(service: string, { services, messages, operating }: Contracts): Permissions {
  const own = services.filter((each) => serviceName(each) === service);
  const published = messages.filter(isContracted).filter((message) => {
    const { kind, owner, senders } = getOption(message, contract);
    return owner === service || (kind === Kind.COMMAND && senders.includes(service));
  });
  const subjects = new Set(published.map((message) => subjectsOf(eventContract(message))));
  const kept = [...new Set(published.map((message) => eventContract(message).stream)), DEAD_LETTERS.name];
  const read = own.flatMap((each) =>
    getOption(each, subscriptions).flatMap(({ name }) => [
      { stream: subscriptionContract(each, name).stream, durable: `${service}__${name}` },
      { stream: REPLAYS.name, durable: `${service}__${name}__replay` },
    ]),
  );
  return {
    publish: [
      ...subjects,
      `dlq.${service}.>`,
      "$JS.API.INFO",
      ...[...kept, REPLAYS.name].map((stream) => `$JS.API.STREAM.CREATE.${stream}`),
      ...kept.map((stream) => `$JS.API.STREAM.MSG.GET.${stream}`),
      ...[...new Set([...kept, ...read.map(({ stream }) => stream)])].map(
        (stream) => `$JS.API.STREAM.INFO.${stream}`,
      ),
      ...read.flatMap(({ stream, durable }) => [
        `$JS.API.CONSUMER.CREATE.${stream}.${durable}.>`,
        `$JS.API.CONSUMER.INFO.${stream}.${durable}`,
        `$JS.API.CONSUMER.DELETE.${stream}.${durable}`,
        `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`,
        `$JS.ACK.${stream}.${durable}.>`,
      ]),
      ...(service === operating ? OPERATING : []),
      `$KV.${REGISTRY}.${service}.>`,
      `$JS.API.STREAM.CREATE.KV_${REGISTRY}`,
      `$JS.API.STREAM.INFO.KV_${REGISTRY}`,
      `$JS.API.STREAM.PURGE.KV_${REGISTRY}`,
      `$JS.API.CONSUMER.CREATE.KV_${REGISTRY}`,
      `$JS.API.CONSUMER.CREATE.KV_${REGISTRY}.>`,
      `$JS.API.CONSUMER.DELETE.KV_${REGISTRY}.>`,
      `$JS.FC.KV_${REGISTRY}.>`,
    ],
    subscribe: [`_INBOX_${service}.>`],
  };
}

/** Users with these permissions as nats-server's configuration has them; each password is `$<SERVICE>_NATS_PASSWORD`. */
export function permissionsConfig(names: readonly string[], contracts: Contracts): string {
  const list = (subjects: readonly string[]) =>
    subjects.map((each) => `          ${JSON.stringify(each)}`).join("\n");
  const users = names.map((name) => {
    const { publish, subscribe } = permissionsOf(name, contracts);
    return `    {
      user: ${name}
      password: $${name.toUpperCase()}_NATS_PASSWORD
      permissions: {
        publish: [
${list(publish)}
        ]
        subscribe: [
${list(subscribe)}
        ]
      }
    }`;
  });
  return `authorization {\n  users: [\n${users.join("\n")}\n  ]\n}\n`;
}

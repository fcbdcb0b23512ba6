import type { DescMessage, DescService } from "@bufbuild/protobuf";
import { getOption } from "@bufbuild/protobuf";
import { subscriptions } from "../../gen/mesh/event/v1/event_pb.ts";
import { eventContract, isContracted, maySend, subscriptionContract } from "../contract/event.ts";
import { advisoryConsumer } from "./advisories.ts";
import { consumerName, replayName, serviceName } from "./handlers.ts";
import { ADVISORIES, DEAD_LETTER_RECORDS, DEAD_LETTERS, REPLAYS, SHARED_STREAMS } from "./streams.ts";
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
  /** The service that offers DeadLetterService and ConsumerService, and keeps advisories. Defaults to none. */
  readonly operating?: string;
}

const REGISTRY = "weft_registry";

/**
 * What it takes to show dead letters and consumers, to settle letters, to keep what the broker says by itself, and to give
 * more room to what all share.
 */
const operating = (service: string): readonly string[] => [
  ...SHARED_STREAMS.map(({ name }) => `$JS.API.STREAM.UPDATE.${name}`),
  `$JS.API.STREAM.UPDATE.KV_${REGISTRY}`,
  ...[REPLAYS, DEAD_LETTER_RECORDS].flatMap(({ subjects }) => subjects),
  `$JS.API.STREAM.CREATE.${DEAD_LETTER_RECORDS.name}`,
  `$JS.API.STREAM.INFO.${DEAD_LETTER_RECORDS.name}`,
  `$JS.API.STREAM.MSG.DELETE.${DEAD_LETTERS.name}`,
  ...[DEAD_LETTERS, DEAD_LETTER_RECORDS].flatMap(({ name }) => [
    `$JS.API.CONSUMER.CREATE.${name}`,
    ...["CREATE", "DELETE", "INFO", "MSG.NEXT"].map((call) => `$JS.API.CONSUMER.${call}.${name}.>`),
  ]),
  `$JS.API.STREAM.CREATE.${ADVISORIES.name}`,
  `$JS.API.STREAM.INFO.${ADVISORIES.name}`,
  ...["CREATE", "DELETE", "INFO", "MSG.NEXT"].map(
    (call) => `$JS.API.CONSUMER.${call}.${ADVISORIES.name}.${advisoryConsumer(service)}`,
  ),
  ...answersTo(ADVISORIES.name, advisoryConsumer(service)),
  "$JS.API.STREAM.NAMES",
  "$JS.API.CONSUMER.LIST.*",
  "$JS.API.CONSUMER.PAUSE.*.*",
];

/** The second with the domain and the account before them, as nats-server 2.14 may have it, and later ones have. */
function answersTo(stream: string, durable: string): string[] {
  return [`$JS.ACK.${stream}.${durable}.>`, `$JS.ACK.*.*.${stream}.${durable}.>`];
}

/**
 * The least that a service needs of a NATS broker, read from the contracts: to publish its own events and dead letters, to
 * read its own subscriptions, to say where it is, to find others, and to listen on its own inbox. The subjects of the
 * JetStream API are those of nats-server 2.9 and later.
 */
export function permissionsOf(
  service: string,
  { services, messages, operating: operator }: Contracts,
): Permissions {
  const own = services.filter((each) => serviceName(each) === service);
  const published = messages.filter(isContracted).filter((message) => maySend(message, service));
  const subjects = new Set(published.map((message) => subjectsOf(eventContract(message))));
  const filled = [...new Set(published.map((message) => eventContract(message).stream))];
  const kept = [...filled, DEAD_LETTERS.name];
  const read = own.flatMap((each) =>
    getOption(each, subscriptions).flatMap(({ name }) => {
      const { stream, build } = subscriptionContract(each, name);
      const consumers = Array.from({ length: build }, (_, before) => consumerName(each, name, before + 1));
      return consumers.flatMap((durable) => [
        { stream, durable },
        { stream: REPLAYS.name, durable: replayName(durable) },
      ]);
    }),
  );
  const seen = [...new Set([...kept, ...read.map(({ stream }) => stream)])];
  const events = [
    ...subjects,
    `dlq.${service}.>`,
    ...[...kept, REPLAYS.name].map((stream) => `$JS.API.STREAM.CREATE.${stream}`),
    ...filled.map((stream) => `$JS.API.STREAM.UPDATE.${stream}`),
    ...seen.filter((stream) => stream !== REPLAYS.name).map((stream) => `$JS.API.STREAM.MSG.GET.${stream}`),
    ...seen.map((stream) => `$JS.API.STREAM.INFO.${stream}`),
    ...read.flatMap(({ stream, durable }) => [
      `$JS.API.CONSUMER.CREATE.${stream}.${durable}.>`,
      `$JS.API.CONSUMER.INFO.${stream}.${durable}`,
      `$JS.API.CONSUMER.DELETE.${stream}.${durable}`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`,
      ...answersTo(stream, durable),
    ]),
    ...(service === operator ? operating(service) : []),
  ];
  return {
    publish: [
      "$JS.API.INFO",
      // One without a contract of its own has nothing to do with events: it looks for others only.
      ...(own.length > 0 ? events : []),
      `$KV.${REGISTRY}.${service}.>`,
      `$JS.API.STREAM.CREATE.KV_${REGISTRY}`,
      `$JS.API.STREAM.INFO.KV_${REGISTRY}`,
      `$JS.API.STREAM.PURGE.KV_${REGISTRY}`,
      `$JS.API.CONSUMER.CREATE.KV_${REGISTRY}`,
      `$JS.API.CONSUMER.CREATE.KV_${REGISTRY}.>`,
      `$JS.API.CONSUMER.DELETE.KV_${REGISTRY}.>`,
      `$JS.FC.KV_${REGISTRY}.>`,
      `$JS.FC.*.*.KV_${REGISTRY}.>`,
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

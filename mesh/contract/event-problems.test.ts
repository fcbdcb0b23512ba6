import {
  create,
  createFileRegistry,
  type DescFile,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileOptionsSchema,
  MessageOptionsSchema,
  ServiceOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  ContractSchema,
  contract,
  Kind,
  Ordering,
  StreamSchema,
  SubscriptionSchema,
  stream,
  subscriptions,
} from "../../gen/mesh/event/v1/event_pb.ts";
import { toys } from "../testing/toys.ts";
import { assertEvents, eventProblems } from "./event-problems.ts";

type Stated = Omit<MessageInitShape<typeof ContractSchema>, "$typeName">;
type Subscribed = Omit<MessageInitShape<typeof SubscriptionSchema>, "$typeName">;

interface StatedFile {
  readonly package?: string;
  readonly messages?: Readonly<Record<string, Stated>>;
  readonly subscribes?: readonly Subscribed[];
  readonly stream?: Omit<MessageInitShape<typeof StreamSchema>, "$typeName">;
}

const PLACED: Stated = { kind: Kind.EVENT, owner: "order", aggregate: "order", key: "id" };
const SHIP: Stated = { kind: Kind.COMMAND, owner: "parcel", aggregate: "parcel" };

let count = 0;

/** A file of a contract: by default the events of order. */
function file(stated: StatedFile = {}): DescFile {
  const { messages = {}, subscribes = [], stream: itsStream = { name: "EVT_ORDER" } } = stated;
  const id = { name: "id", number: 1, type: FieldDescriptorProto_Type.STRING };
  const name = `file-${++count}.proto`;
  const proto = create(FileDescriptorProtoSchema, {
    name,
    package: stated.package ?? "shop.order.v1",
    syntax: "proto3",
    messageType: Object.entries(messages).map(([name, its]) => {
      const options = create(MessageOptionsSchema);
      setExtension(options, contract, create(ContractSchema, its));
      return { name, field: [{ ...id, label: FieldDescriptorProto_Label.OPTIONAL }], options };
    }),
    service: subscribes.length === 0 ? [] : [{ name: "TheService" }],
    options: create(FileOptionsSchema),
  });
  if (proto.options) setExtension(proto.options, stream, create(StreamSchema, itsStream));
  const [service] = proto.service;
  if (service) {
    service.options = create(ServiceOptionsSchema);
    const all = subscribes.map((each) => create(SubscriptionSchema, each));
    setExtension(service.options, subscriptions, all);
  }
  return createFileRegistry(proto, () => undefined).getFile(name) as DescFile;
}

const events = (messages: Record<string, Stated>, more: StatedFile = {}) => file({ messages, ...more });
const commands = (messages: Record<string, Stated>, more: StatedFile = {}) =>
  file({ package: "shop.parcel.v1", stream: { name: "CMD_PARCEL" }, messages, ...more });
const subscriber = (subscription: Subscribed, ...more: Subscribed[]) =>
  file({ package: "shop.parcel.v1", subscribes: [subscription, ...more] });

const PLACED_TYPE = "shop.order.v1.Placed";
const SHIP_TYPE = "shop.parcel.v1.Ship";
const reads: Subscribed = { name: "orders", aggregate: "order", handles: [PLACED_TYPE] };
const obeys: Subscribed = {
  name: "commands",
  kind: Kind.COMMAND,
  aggregate: "parcel",
  handles: [SHIP_TYPE],
};

test("nothing is wrong with contracts that can work", () => {
  const files = [events({ Placed: PLACED }), commands({ Ship: SHIP }), subscriber(reads, obeys)];
  expect(eventProblems(files, { isWhole: true })).toEqual([]);
  expect(() => assertEvents(files)).not.toThrow();
});

describe("what cannot work is named", () => {
  test.each<[string, DescFile[], string]>([
    [
      "an event that is broken by itself",
      [events({ Placed: { ...PLACED, key: "basket" } })],
      `${PLACED_TYPE}: its key "basket" is not a text field of it`,
    ],
    [
      "an event without a key, but with an order",
      [events({ Placed: { ...PLACED, key: "" } })],
      `${PLACED_TYPE}: without a key there is no order, so its ordering must be NONE`,
    ],
    [
      "an event of somebody else",
      [events({ Placed: { ...PLACED, owner: "basket" } })],
      `${PLACED_TYPE}: its owner is basket, but it stands in the package of order`,
    ],
    [
      "a version that is not the package's",
      [events({ Placed: { ...PLACED, major: 2 } })],
      `${PLACED_TYPE}: its major is 2, but its package says v1`,
    ],
    [
      "two publishers of one aggregate",
      [
        events({ Placed: PLACED }),
        events({ Moved: { ...PLACED, owner: "parcel" } }, { package: "shop.parcel.v1" }),
      ],
      `${PLACED_TYPE}: order publishes order, and so does parcel`,
    ],
    [
      "two messages with one subject",
      [events({ Placed: PLACED }), events({ Placed: PLACED }, { package: "shop.next.order.v1" })],
      `shop.next.order.v1.Placed: its subject is that of ${PLACED_TYPE} too`,
    ],
    [
      "an aggregate that is no token",
      [events({ Placed: { ...PLACED, aggregate: "or.der" } }, { stream: { name: "EVT_OR.DER" } })],
      `${PLACED_TYPE}: its aggregate "or.der" is no token of a subject`,
    ],
    [
      "a command that outlives its stream",
      [commands({ Ship: { ...SHIP, ttl: { seconds: 86_401n } } }), subscriber(obeys)],
      `${SHIP_TYPE}: its ttl is longer than its stream keeps it`,
    ],
    [
      "a command that nobody handles",
      [commands({ Ship: SHIP })],
      `${SHIP_TYPE}: a command has one receiver, but 0 subscriptions handle it`,
    ],
    [
      "a command whose sender is not",
      [commands({ Ship: { ...SHIP, senders: ["basket"] } }), subscriber(obeys)],
      `${SHIP_TYPE}: its sender basket is no service`,
    ],
    [
      "a command that two handle",
      [commands({ Ship: SHIP }), subscriber(obeys, { ...obeys, name: "again" })],
      `${SHIP_TYPE}: a command has one receiver, but 2 subscriptions handle it`,
    ],
    [
      "another service's commands",
      [file({ package: "shop.basket.v1", subscribes: [obeys] }), commands({ Ship: SHIP })],
      'shop.basket.v1.TheService "commands": it handles the commands to parcel, but only those to basket are its own',
    ],
    [
      "a stream that two files state",
      [events({ Placed: PLACED }), events({ Paid: PLACED }, { stream: { name: "EVT_ORDER", maxBytes: 5n } })],
      "states the stream EVT_ORDER otherwise than file-",
    ],
    [
      "a stream that forgets before it may",
      [events({ Placed: PLACED }, { stream: { name: "EVT_ORDER", maxAge: { seconds: 60n } } })],
      "the duplicate_window of EVT_ORDER is longer than its max_age",
    ],
    [
      "a stream that is there for longer than consumers know what they have handled",
      [events({ Placed: PLACED }, { stream: { name: "EVT_ORDER", maxAge: { seconds: 604_801n } } })],
      "the max_age of EVT_ORDER is longer than 7 days",
    ],
    [
      "an event that is not",
      [subscriber(reads)],
      `shop.parcel.v1.TheService "orders": there is no ${PLACED_TYPE}`,
    ],
    [
      "an event of another aggregate",
      [events({ Placed: PLACED }), subscriber({ ...reads, aggregate: "basket" })],
      `${PLACED_TYPE} is not among the events of basket`,
    ],
    [
      "a command among events",
      [commands({ Ship: SHIP }), subscriber({ ...obeys, kind: Kind.EVENT })],
      `${SHIP_TYPE} is not among the events of parcel`,
    ],
    [
      "an order that events do not have",
      [
        events({ Placed: PLACED, Seen: { ...PLACED, ordering: Ordering.NONE } }),
        subscriber({ ...reads, ordering: Ordering.STRICT }),
      ],
      'shop.parcel.v1.TheService "orders": its ordering is stronger than that of shop.order.v1.Seen',
    ],
    ["nothing to handle", [subscriber({ ...reads, handles: [] })], '"orders": it handles nothing'],
    [
      "two subscriptions of one name",
      [events({ Placed: PLACED }), subscriber(reads, reads)],
      '"orders": there are two of this name',
    ],
    [
      "a name like that of a read model's next build",
      [events({ Placed: PLACED }), subscriber({ ...reads, name: "orders_v2" })],
      '"orders_v2": its name ends like that of a build',
    ],
    [
      "a name that is no token",
      [events({ Placed: PLACED }), subscriber({ ...reads, name: "my orders" })],
      '"my orders": its name is no token of a subject',
    ],
  ])("%s", (_, files, problem) => {
    const found = eventProblems(files, { isWhole: true });
    expect(found).toEqual([expect.stringContaining(problem)]);
  });
});

test("STRICT may be consumed as less, LATEST not as more", () => {
  const wants = (ordering: Ordering) => subscriber({ ...reads, ordering });
  const strict = events({ Placed: PLACED });
  for (const less of [Ordering.LATEST, Ordering.NONE])
    expect(eventProblems([strict, wants(less)])).toEqual([]);
  const latest = events({ Placed: { ...PLACED, ordering: Ordering.LATEST } });
  expect(eventProblems([latest, wants(Ordering.LATEST)])).toEqual([]);
  expect(eventProblems([latest, wants(Ordering.STRICT)])).toEqual([
    `shop.parcel.v1.TheService "orders": its ordering is stronger than that of ${PLACED_TYPE}`,
  ]);
});

test("who takes all types need not name them", () => {
  expect(
    eventProblems([events({ Placed: PLACED }), subscriber({ ...reads, handles: ["*"] })], { isWhole: true }),
  ).toEqual([]);
});

test("a part of the contracts is not blamed for what it does not show", () => {
  expect(eventProblems([subscriber(reads)])).toEqual([]);
  expect(eventProblems([commands({ Ship: SHIP })])).toEqual([]);
  // Whoever keeps all that comes by may keep the commands to others, too.
  const keeps = {
    name: "all",
    kind: Kind.COMMAND,
    aggregate: "parcel",
    handles: ["*"],
    ordering: Ordering.NONE,
  };
  const archive = file({ package: "shop.archive.v1", subscribes: [keeps], stream: {} });
  expect(eventProblems([archive, commands({ Ship: SHIP })])).toEqual([]);
  const { Moved, Fetch, service } = toys();
  expect(eventProblems([Moved.file, Fetch.file, service.file], { isWhole: true })).toEqual([]);
});

test("all problems are said together", () => {
  const files = [events({ Placed: { ...PLACED, key: "x" }, Paid: { ...PLACED, major: 9 } })];
  expect(() => assertEvents(files)).toThrow(
    [
      "the contract has 2 problem(s) of events and commands:",
      `  - ${PLACED_TYPE}: its key "x" is not a text field of it`,
      "  - shop.order.v1.Paid: its major is 9, but its package says v1",
    ].join("\n"),
  );
});

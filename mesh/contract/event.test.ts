import {
  clearExtension,
  clone,
  create,
  createFileRegistry,
  type DescMessage,
  type DescService,
  getExtension,
  type MessageInitShape,
  setExtension,
} from "@bufbuild/protobuf";
import {
  DurationSchema,
  FieldDescriptorProto_Label,
  FileDescriptorProtoSchema,
  FileOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  type Contract,
  ContractSchema,
  contract,
  Kind,
  OnDead,
  OnUnknownType,
  Ordering,
  StreamSchema,
  stream,
  subscriptions,
} from "../../gen/mesh/event/v1/event_pb.ts";
import { OrderConfirmedSchema, OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { OrderSchema } from "../../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { ReviewService } from "../../gen/shop/review/v1/review_service_pb.ts";
import { generatedFiles } from "../testing/shop-contracts.ts";
import { toys } from "../testing/toys.ts";
import { eventContract, streamContract, subscriptionContract } from "./event.ts";

const events = (await generatedFiles("shop", "_event_pb.ts")).flatMap((file) => file.messages);

describe("the shop's own contracts", () => {
  test("there are some of every service", () => {
    const owners = new Set(events.map((event) => eventContract(event).owner));
    expect([...owners].sort()).toEqual(["customer", "notification", "order", "payment", "product", "review"]);
  });

  test.each(events.map((event) => [event.typeName, event] as const))("%s reads", (typeName, event) => {
    const { type, name, owner, aggregate, keyField, stream: itsStream } = eventContract(event);
    expect(type).toBe(typeName);
    expect(typeName).toMatch(new RegExp(`^shop\\.${owner}\\.v1\\.${name}$`));
    expect(event.field[event.fields.find((field) => field.name === keyField)?.localName ?? ""]).toBeDefined();
    expect(streamContract(event)).toMatchObject({ name: itsStream, aggregate });
  });
});

test("a contract is read whole, defaults filled in", () => {
  expect(eventContract(OrderConfirmedSchema)).toEqual({
    type: "shop.order.v1.OrderConfirmed",
    name: "OrderConfirmed",
    kind: Kind.EVENT,
    owner: "order",
    aggregate: "order",
    major: 1,
    keyField: "order_id",
    ordering: Ordering.STRICT,
    stream: "EVT_ORDER",
    ttlMs: undefined,
    senders: [],
  });
  expect(streamContract(OrderConfirmedSchema)).toEqual({
    name: "EVT_ORDER",
    kind: Kind.EVENT,
    aggregate: "order",
    maxAgeMs: 7 * 86_400_000,
    maxBytes: 2 ** 28,
    duplicateWindowMs: 600_000,
    replicas: 1,
  });
  expect(subscriptionContract(ReviewService, "buyers")).toMatchObject({
    name: "buyers",
    kind: Kind.EVENT,
    aggregate: "order",
    stream: "EVT_ORDER",
    handles: ["shop.order.v1.OrderConfirmed"],
    ordering: Ordering.STRICT,
    maxAttempts: 6,
    handlerTimeoutMs: 20_000,
    onUnknownType: OnUnknownType.ADVANCE,
  });
});

test("a command has no order and a short life, unless its contract says otherwise", () => {
  const { Fetch, service, aggregate } = toys();
  const stream = `CMD_${aggregate.toUpperCase()}`;
  expect(eventContract(Fetch)).toMatchObject({
    kind: Kind.COMMAND,
    owner: aggregate,
    ordering: Ordering.NONE,
    stream,
    ttlMs: 60_000,
  });
  expect(streamContract(Fetch)).toMatchObject({ name: stream, kind: Kind.COMMAND, maxAgeMs: 86_400_000 });
  expect(subscriptionContract(service, "commands")).toMatchObject({
    kind: Kind.COMMAND,
    stream,
    ordering: Ordering.NONE,
    onDead: OnDead.SKIP,
  });
});

test("an event without order needs no key", () => {
  expect(eventContract(orderPlaced({ key: "", ordering: Ordering.NONE })).keyField).toBeUndefined();
});

type Changes = Partial<Omit<Contract, "$typeName" | "$unknown">>;

/** OrderPlaced as it would be if its contract said something else. */
function orderPlaced(changes: Changes, itsStream?: MessageInitShape<typeof StreamSchema>): DescMessage {
  const file = clone(FileDescriptorProtoSchema, OrderPlacedSchema.file.proto);
  const options = file.messageType.find(({ name }) => name === "OrderPlaced")?.options;
  if (!options) throw new Error("OrderPlaced has no options");
  const before = getExtension(options, contract);
  setExtension(options, contract, create(ContractSchema, { ...before, ...changes }));
  if (itsStream) {
    file.options ??= create(FileOptionsSchema);
    setExtension(file.options, stream, create(StreamSchema, itsStream));
  }
  const imports = new Map(OrderPlacedSchema.file.dependencies.map((each) => [each.proto.name, each]));
  const registry = createFileRegistry(file, (name) => imports.get(name));
  return registry.getMessage("shop.order.v1.OrderPlaced") as DescMessage;
}

test("what the contract states stands over the defaults", () => {
  const changed = orderPlaced(
    { major: 3, key: "customer_id", ordering: Ordering.LATEST },
    {
      name: "EVT_ORDER",
      maxAge: { seconds: 60n },
      maxBytes: 1_000n,
      duplicateWindow: { seconds: 5n },
      replicas: 3,
    },
  );
  expect(eventContract(changed)).toMatchObject({
    major: 3,
    keyField: "customer_id",
    ordering: Ordering.LATEST,
  });
  expect(streamContract(changed)).toMatchObject({
    maxAgeMs: 60_000,
    maxBytes: 1_000,
    duplicateWindowMs: 5_000,
    replicas: 3,
  });
  expect(eventContract(orderPlaced({ ordering: Ordering.UNSPECIFIED })).ordering).toBe(Ordering.STRICT);
});

describe("a contract that cannot work is refused by the message's name", () => {
  test.each<[string, Changes, RegExp]>([
    ["no kind", { kind: Kind.UNSPECIFIED }, /neither an event nor a command/],
    ["no owner", { owner: "" }, /no owner or no aggregate/],
    ["no aggregate", { aggregate: "" }, /no owner or no aggregate/],
    ["no key", { key: "" }, /without a key there is no order/],
    ["a kind of tomorrow", { kind: 7 as Kind }, /neither an event nor a command/],
    ["a fact that expires", { ttl: create(DurationSchema, { seconds: 1n }) }, /only a command has a ttl/],
    [
      "a command to another aggregate",
      { kind: Kind.COMMAND, owner: "basket" },
      /aggregate of a command is its owner/,
    ],
    ["a command among events", { kind: Kind.COMMAND }, /must state the stream CMD_ORDER/],
    ["a key that it does not have", { key: "basket_id" }, /its key "basket_id" is not a text field/],
    ["a key that is a message", { key: "total" }, /its key "total" is not a text field/],
    ["a key that is many", { key: "lines" }, /its key "lines" is not a text field/],
    ["the stream of others", { aggregate: "basket" }, /must state the stream EVT_BASKET/],
  ])("%s", (_, changes, problem) => {
    const message = orderPlaced(changes);
    expect(() => eventContract(message)).toThrow(problem);
    expect(() => eventContract(message)).toThrow("shop.order.v1.OrderPlaced");
    expect(() => streamContract(message)).toThrow(problem);
  });

  test("a key that is many texts", () => {
    const file = clone(FileDescriptorProtoSchema, OrderPlacedSchema.file.proto);
    const key = file.messageType[0]?.field.find(({ name }) => name === "order_id");
    if (!key) throw new Error("OrderPlaced has no order_id");
    key.label = FieldDescriptorProto_Label.REPEATED;
    const imports = new Map(OrderPlacedSchema.file.dependencies.map((each) => [each.proto.name, each]));
    const message = createFileRegistry(file, (name) => imports.get(name)).getMessage(
      OrderPlacedSchema.typeName,
    );
    expect(() => eventContract(message as DescMessage)).toThrow(/its key "order_id" is not a text field/);
  });

  test("no contract at all", () => {
    expect(() => eventContract(OrderSchema)).toThrow("shop.order.v1.Order is no event");
  });

  test("no such subscription", () => {
    expect(() => subscriptionContract(OrderService, "buyers")).toThrow(
      'the contract of shop.order.v1.OrderService has no subscription "buyers"',
    );
  });
});

test.each([
  [Ordering.STRICT, OnDead.PARK_KEY],
  [Ordering.NONE, OnDead.SKIP],
  [Ordering.LATEST, OnDead.SKIP],
])("with ordering %d a dead letter means %d, unless the contract says", (ordering, onDead) => {
  const file = clone(FileDescriptorProtoSchema, ReviewService.file.proto);
  const options = file.service[0]?.options;
  if (!options) throw new Error("ReviewService has no options");
  const [buyers] = getExtension(options, subscriptions);
  if (!buyers) throw new Error("ReviewService listens to nothing");
  clearExtension(options, subscriptions);
  setExtension(options, subscriptions, [
    { ...buyers, ordering, onDead: OnDead.UNSPECIFIED },
    { ...buyers, name: "said", ordering, onDead: OnDead.SKIP },
  ]);
  const imports = new Map(ReviewService.file.dependencies.map((each) => [each.proto.name, each]));
  const service = createFileRegistry(file, (name) => imports.get(name)).getService(ReviewService.typeName);
  expect(subscriptionContract(service as DescService, "buyers").onDead).toBe(onDead);
  expect(subscriptionContract(service as DescService, "said").onDead).toBe(OnDead.SKIP);
});

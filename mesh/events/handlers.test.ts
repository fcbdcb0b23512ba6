import { expect, test } from "vitest";
import { OrderPlacedSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { subscriptionContract } from "../contract/event.ts";
import { toys } from "../testing/toys.ts";
import { ANY_TYPE, handlersByType, on, onAny, serviceName } from "./handlers.ts";

const nothing = async () => {};

test("a service is called as its package", () => {
  expect(serviceName(toys().service)).toMatch(/^toy\d+$/);
});

test("handlers are found by the type that they are for", () => {
  const { Moved, service, subscription } = toys();
  const moved = on(Moved, nothing);
  const found = handlersByType(subscriptionContract(service, subscription), [moved]);
  expect([...found]).toEqual([[Moved.typeName, moved]]);
});

test("one error names all that is missing and all that is too many", () => {
  const { Moved, Painted, service, subscription } = toys();
  const contract = subscriptionContract(service, subscription);
  expect(() => handlersByType(contract, [on(Painted, nothing)])).toThrow(
    `subscription "moves": nothing handles ${Moved.typeName}; its contract does not list ${Painted.typeName}`,
  );
});

test("an event of another aggregate than the subscription's is refused", () => {
  const { service, subscription } = toys({ handles: [OrderPlacedSchema.typeName] });
  const contract = subscriptionContract(service, subscription);
  expect(() => handlersByType(contract, [on(OrderPlacedSchema, nothing)])).toThrow(
    `but ${OrderPlacedSchema.typeName} is of order`,
  );
});

test("a handler of any type is for subscriptions that take all, and for those only", () => {
  const { Moved, ...all } = toys({ handles: [ANY_TYPE] });
  const any = onAny(nothing);
  const contract = subscriptionContract(all.service, all.subscription);
  expect([...handlersByType(contract, [any])]).toEqual([[ANY_TYPE, any]]);
  expect(() => handlersByType(contract, [on(Moved, nothing)])).toThrow("nothing handles *");
  const some = toys();
  const moves = subscriptionContract(some.service, some.subscription);
  expect(() => handlersByType(moves, [on(some.Moved, nothing), any])).toThrow("does not list *");
});

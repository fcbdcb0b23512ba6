import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type Delivery, DeliveryError, deliveryOf } from "./delivery.ts";

test.each<Delivery>(["NOT_SENT", "REFUSED", "LOST"])(
  "how far a call came stands among its causes: %s",
  (delivery) => {
    const cause = new DeliveryError(delivery, "no", new Error("ECONNRESET"));
    expect(deliveryOf(cause)).toBe(delivery);
    expect(deliveryOf(new ConnectError("no", Code.Unavailable, undefined, undefined, cause))).toBe(delivery);
    expect(deliveryOf(new Error("around", { cause: new Error("and around", { cause }) }))).toBe(delivery);
  },
);

test("a call that was answered has none", () => {
  expect(deliveryOf(new ConnectError("no", Code.Unavailable))).toBeUndefined();
  expect(deliveryOf(new Error("around", { cause: "a text" }))).toBeUndefined();
  expect(deliveryOf(Object.assign(new Error("another"), { delivery: "NOT_SENT" }))).toBeUndefined();
  expect(deliveryOf(undefined)).toBeUndefined();
});

test("no text of a server passes for one", () => {
  const answer = new ConnectError("DeliveryError: NOT_SENT", Code.Unavailable, { delivery: "NOT_SENT" });
  expect(deliveryOf(answer)).toBeUndefined();
});

test("causes that go round in a circle are not followed for ever", () => {
  const one = new Error("one");
  one.cause = new Error("other", { cause: one });
  expect(deliveryOf(one)).toBeUndefined();
});

test("it keeps its own cause, for the log", () => {
  const cause = new Error("connect ECONNREFUSED");
  const error = new DeliveryError("NOT_SENT", "nobody listens there", cause);
  expect(error).toMatchObject({ name: "DeliveryError", message: "nobody listens there", cause });
  expect("cause" in new DeliveryError("NOT_SENT", "nobody listens there")).toBe(false);
});

import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Product, ProductSchema } from "../../gen/shop/product/v1/product_pb.ts";
import { CreatedMessages } from "./created-messages.ts";

test("each init becomes a message, one after the other, and a message stays what it is", async () => {
  const whole = create(ProductSchema, { name: "b" });
  const messages = new CreatedMessages(ProductSchema, async () =>
    (async function* () {
      yield { name: "a" };
      yield whole;
    })(),
  );
  const came: Product[] = [];
  for await (const message of messages) came.push(message);
  expect(came).toEqual([create(ProductSchema, { name: "a" }), whole]);
  expect(came[1]).toBe(whole);
});

test("what they come from begins with the first question, and ends when nobody asks any more", async () => {
  const events: string[] = [];
  const messages = new CreatedMessages(ProductSchema, async () => {
    events.push("begun");
    return (async function* () {
      try {
        for (;;) yield {};
      } finally {
        events.push("ended");
      }
    })();
  });
  expect(events).toEqual([]);
  for await (const _ of messages) break;
  expect(events).toEqual(["begun", "ended"]);
});

test("who leaves before the first question has begun nothing", async () => {
  const messages = new CreatedMessages(ProductSchema, async () => expect.unreachable());
  expect(await messages.return()).toEqual({ done: true, value: undefined });
});

test("what goes wrong is thrown where it is asked for", async () => {
  const failing = new CreatedMessages(ProductSchema, () => Promise.reject(new Error("no question")));
  await expect(failing.next()).rejects.toThrow("no question");
  const broken = new CreatedMessages(ProductSchema, async () =>
    (async function* () {
      yield {};
      throw new Error("half-way");
    })(),
  );
  await broken.next();
  await expect(broken.next()).rejects.toThrow("half-way");
});

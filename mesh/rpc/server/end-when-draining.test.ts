import { expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { endWhenDraining } from "./end-when-draining.ts";

const draining = { reason: "DRAINING", domain: "mesh.weft" };

/** Calls a handler of streams below the interceptor; returns what the wire would read. */
async function stream(signal: AbortSignal, service: object, messages: () => AsyncGenerator<unknown>) {
  const handler = endWhenDraining(signal).interceptor(
    async () => ({ stream: true, message: messages() }) as never,
  );
  const response = await handler({ stream: true, service } as never);
  return (response.message as AsyncIterable<unknown>)[Symbol.asyncIterator]();
}

test("a call that begins while draining is refused, and its handler never runs", async () => {
  let calls = 0;
  const handler = endWhenDraining(AbortSignal.abort()).interceptor(async () => {
    calls++;
    return {} as never;
  });
  await expect(handler({ stream: false, service: OrderService } as never)).rejects.toMatchObject(draining);
  expect(calls).toBe(0);
});

test("health answers all the same", async () => {
  const answer = { stream: false, message: "not serving" };
  const handler = endWhenDraining(AbortSignal.abort()).interceptor(async () => answer as never);
  expect(await handler({ stream: false, service: Health } as never)).toBe(answer);
});

test("a stream that waits ends at once, and its handler is left at its next message", async () => {
  const drain = new AbortController();
  const change = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const answers = await stream(drain.signal, OrderService, async function* () {
    try {
      yield 1;
      await change.promise;
      yield 2;
      expect.unreachable("nobody asks for more");
    } finally {
      left.resolve();
    }
  });
  expect(await answers.next()).toEqual({ done: false, value: 1 });
  const refused = expect(answers.next()).rejects.toMatchObject(draining);
  drain.abort();
  await refused;
  change.resolve();
  await left.promise;
});

test("a stream that is left before that, or ends, or fails, does so as it would without", async () => {
  const { signal } = new AbortController();
  let left = 0;
  const counting = async function* () {
    try {
      yield 1;
      yield 2;
    } finally {
      left++;
    }
  };
  const leaving = await stream(signal, OrderService, counting);
  await leaving.next();
  await leaving.return?.();
  expect(left).toBe(1);

  const ending = await stream(signal, OrderService, counting);
  expect([await ending.next(), await ending.next(), await ending.next()].map(({ done }) => done)).toEqual([
    false,
    false,
    true,
  ]);

  const failing = await stream(signal, OrderService, async function* () {
    yield 1;
    throw new Error("its own");
  });
  await failing.next();
  await expect(failing.next()).rejects.toThrow("its own");
});

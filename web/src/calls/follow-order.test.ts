import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { OrderSchema, OrderState } from "../../../gen/shop/order/v1/order_pb.ts";
import { WatchOrderResponseSchema } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { followOrder } from "./follow-order.ts";

const { PENDING, CONFIRMED } = OrderState;

/** A stream that tells these states, and then ends or fails. */
interface Stream {
  readonly states: readonly OrderState[];
  readonly fails?: Code;
}

/** Follows an order through these streams, and leaves when there are no more. */
async function follow(...streams: readonly Stream[]) {
  const seen: OrderState[] = [];
  const waitsMs: number[] = [];
  const leaving = new AbortController();
  let opened = 0;
  async function* watch() {
    const { states, fails } = streams[opened++] ?? { states: [] };
    for (const state of states)
      yield create(WatchOrderResponseSchema, { order: create(OrderSchema, { state }) });
    if (fails) throw new ConnectError("over", fails);
  }
  let lost = 0;
  const following = followOrder({
    watch,
    signal: leaving.signal,
    onOrder: ({ state }) => seen.push(state),
    onLost: () => lost++,
    async sleep(delayMs) {
      waitsMs.push(delayMs);
      if (opened === streams.length) leaving.abort();
    },
  });
  const error = await following.catch((thrown: ConnectError) => thrown);
  return { seen, opened, lost, waitsMs, code: error?.code };
}

test("a final state is the end", async () => {
  expect(await follow({ states: [PENDING, CONFIRMED] }, { states: [PENDING] })).toMatchObject({
    seen: [PENDING, CONFIRMED],
    opened: 1,
    lost: 0,
  });
});

test.each([[Code.Unavailable], [Code.Unknown], [undefined]])(
  "a stream that breaks off with %s before that is opened again, after a wait",
  async (code) => {
    const broken: Stream = { states: [PENDING], ...(code && { fails: code }) };
    const { waitsMs, ...followed } = await follow(broken, { states: [CONFIRMED] });
    expect(followed).toMatchObject({ seen: [PENDING, CONFIRMED], opened: 2, lost: 1 });
    expect(waitsMs).toHaveLength(1);
    expect(waitsMs[0]).toBeGreaterThanOrEqual(125);
  },
);

test("the waits grow while nothing comes, and begin anew with what comes", async () => {
  const fails = Code.Unavailable;
  const away: Stream = { states: [], fails };
  const { waitsMs } = await follow(away, away, away, away, { states: [PENDING], fails }, away);
  const least = [125, 250, 500, 1_000, 125, 250];
  expect(waitsMs.map((waitMs, at) => waitMs >= (least[at] ?? 0) && waitMs <= 2 * (least[at] ?? 0))).toEqual(
    least.map(() => true),
  );
});

test.each([[Code.NotFound], [Code.PermissionDenied], [Code.Unauthenticated]])(
  "a refusal, such as %s, is no lost connection",
  async (fails) => {
    expect(await follow({ states: [], fails }, { states: [CONFIRMED] })).toMatchObject({
      code: fails,
      opened: 1,
      lost: 0,
    });
  },
);

test("who leaves is not told of anything more", async () => {
  expect(await follow({ states: [PENDING], fails: Code.Unavailable })).toMatchObject({
    seen: [PENDING],
    opened: 1,
    code: undefined,
  });
});

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { OrderService } from "../../../gen/shop/order/v1/order_service_pb.ts";
import { refusalOf } from "../../testing/refusal.ts";
import { testServer } from "../../testing/server.ts";
import { until } from "../../testing/until.ts";
import { WIRE_PROTOCOLS } from "../../testing/wire-protocols.ts";

/** An order service whose orders are placed one by one by the test. */
async function placing() {
  const begun: { readonly requestId: string; readonly end: PromiseWithResolvers<object> }[] = [];
  const server = await testServer(OrderService, {
    placeOrder({ requestId }) {
      const end = Promise.withResolvers<object>();
      begun.push({ requestId, end });
      return end.promise;
    },
    getOrder({ orderId }) {
      const end = Promise.withResolvers<object>();
      begun.push({ requestId: orderId, end });
      return end.promise;
    },
  });
  const [protocol] = WIRE_PROTOCOLS;
  if (!protocol) throw new Error("there is no protocol");
  const client = createClient(OrderService, protocol.open(server));
  const place = (over: object = {}, options: Parameters<typeof client.placeOrder>[1] = {}) =>
    client.placeOrder(
      {
        customerId: "cust-ada",
        lines: [{ productId: "p1", quantity: 1 }],
        paymentToken: "tok_ok",
        requestId: "r1",
        ...over,
      },
      options,
    );
  const placed = (index: number, orderId: string) => begun[index]?.end.resolve({ order: { orderId } });
  return { server, client, begun, place, placed };
}

/** Lets a call that was sent arrive, though nothing tells of it: another one that was sent later has arrived. */
async function arrived({ client, begun }: Awaited<ReturnType<typeof placing>>) {
  const before = begun.length;
  const marker = client.getOrder({ orderId: "marker" });
  await until(() => begun.length === before + 1);
  begun.pop()?.end.resolve({});
  await marker;
}

test("the same call beside itself runs once, and each caller gets its answer", async () => {
  const orders = await placing();
  const calls = [orders.place(), orders.place(), orders.place()];
  await until(() => orders.begun.length > 0);
  await arrived(orders);
  expect(orders.begun).toHaveLength(1);
  orders.placed(0, "o1");
  expect((await Promise.all(calls)).map(({ order }) => order?.orderId)).toEqual(["o1", "o1", "o1"]);
});

test.each([
  ["without a key", { requestId: "" }, { requestId: "" }, {}],
  ["with another key", {}, { requestId: "r2" }, {}],
  ["with other content under the key", {}, { paymentToken: "tok_declined" }, {}],
  ["of another caller", {}, {}, { headers: { authorization: "Bearer somebody-else" } }],
])("a call %s runs by itself", async (_, one, other, options) => {
  const orders = await placing();
  const calls = [orders.place(one), orders.place(other, options)];
  await until(() => orders.begun.length === 2);
  orders.placed(0, "o1");
  orders.placed(1, "o2");
  expect(new Set((await Promise.all(calls)).map(({ order }) => order?.orderId))).toEqual(
    new Set(["o1", "o2"]),
  );
});

test("a refusal is shared; a failure that another attempt may mend is not: the next one runs itself", async () => {
  const orders = await placing();
  const both = [orders.place(), orders.place()].map(refusalOf);
  await until(() => orders.begun.length === 1);
  await arrived(orders);
  orders.begun[0]?.end.reject(new ConnectError("no", Code.FailedPrecondition));
  expect((await Promise.all(both)).map(({ code }) => code)).toEqual([
    "FailedPrecondition",
    "FailedPrecondition",
  ]);

  const first = orders.place().catch((error: ConnectError) => Code[error.code]);
  await until(() => orders.begun.length === 2);
  const second = orders.place();
  await arrived(orders);
  orders.begun[1]?.end.reject(new ConnectError("away", Code.Unavailable));
  expect(await first).toBe("Unavailable");
  await until(() => orders.begun.length === 3);
  orders.placed(2, "o3");
  expect((await second).order?.orderId).toBe("o3");
});

test("who waits for another's answer leaves by its own signal, and the other goes on", async () => {
  const orders = await placing();
  const first = orders.place();
  await until(() => orders.begun.length === 1);
  const leaving = new AbortController();
  const second = orders.place({}, { signal: leaving.signal });
  const left = expect(second).rejects.toMatchObject({ code: Code.Canceled });
  await arrived(orders);
  leaving.abort();
  await left;
  orders.placed(0, "o1");
  expect((await first).order?.orderId).toBe("o1");
});

test("who waits keeps its own deadline", async () => {
  const orders = await placing();
  const first = orders.place();
  await until(() => orders.begun.length === 1);
  expect(await refusalOf(orders.place({}, { timeoutMs: 40 }))).toMatchObject({ code: "DeadlineExceeded" });
  orders.placed(0, "o1");
  expect((await first).order?.orderId).toBe("o1");
});

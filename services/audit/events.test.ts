import { jetstream } from "@nats-io/jetstream";
import { headers as natsHeaders } from "@nats-io/nats-core";
import { expect, test } from "vitest";
import { AuditService } from "../../gen/shop/audit/v1/audit_service_pb.ts";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { OrderCancelledSchema } from "../../gen/shop/order/v1/order_event_pb.ts";
import { PaymentVoidedSchema } from "../../gen/shop/payment/v1/payment_event_pb.ts";
import { StockLowSchema } from "../../gen/shop/product/v1/product_event_pb.ts";
import { ReviewPostedSchema } from "../../gen/shop/review/v1/review_event_pb.ts";
import { newId } from "../../mesh/core/ids.ts";
import { silentLog } from "../../mesh/core/log.ts";
import { openNats } from "../../mesh/nats/connection.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { testBroker } from "../../mesh/testing/broker.ts";
import { testPublisher } from "../../mesh/testing/publisher.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const publishers = {
  order: await testPublisher(OrderCancelledSchema),
  payment: await testPublisher(PaymentVoidedSchema),
  product: await testPublisher(StockLowSchema),
  review: await testPublisher(ReviewPostedSchema),
  customer: await testPublisher(CustomerRegisteredSchema),
};
const { client, sql } = await testService({ contract: AuditService, readSettings, start: startApp });

/** The events of a key, the latest first, when there are as many. */
function kept(key: string, count = 1) {
  return until(async () => {
    const { events } = await client.listEvents({ filter: { key } });
    return events.length >= count && events;
  });
}

test("an event of every service is kept, and its content shown", async () => {
  await publishers.order.publish({ orderId: "o-1", customerId: "cust-1", reason: "too late" });
  await publishers.payment.publish({ orderId: "o-2" });
  await publishers.product.publish({ productId: "p-1" });
  await publishers.review.publish({ productId: "p-2", rating: 4 });
  await publishers.customer.publish({ customerId: "c-1", email: "ada@example.com", displayName: "Ada" });

  const [cancelled] = await kept("o-1");
  expect(cancelled).toMatchObject({
    type: "shop.order.v1.OrderCancelled",
    keySeq: 1n,
    source: "/shop/order",
    stream: "EVT_ORDER",
    streamSeq: 1n,
    payload: {
      case: "content",
      value: { orderId: "o-1", customerId: "cust-1", reason: "too late" },
    },
  });
  expect(cancelled?.subject).toMatch(/^evt\.order\.v1\.p\d\d\.OrderCancelled$/);
  expect(cancelled?.correlationId).not.toBe("");
  expect((await kept("o-2"))[0]?.type).toBe("shop.payment.v1.PaymentVoided");
  expect((await kept("p-1"))[0]?.type).toBe("shop.product.v1.StockLow");
  expect((await kept("p-2"))[0]?.type).toBe("shop.review.v1.ReviewPosted");
  expect((await kept("c-1"))[0]?.payload).toEqual({
    case: "content",
    value: { customerId: "c-1", email: "***", displayName: "***" },
  });
});

test("what is kept is what came, personal data too, and nobody can change it", async () => {
  await publishers.customer.publish({ customerId: "c-2", email: "grace@example.com", displayName: "G" });
  const [event] = await kept("c-2");
  const [row] =
    await sql`SELECT payload, headers FROM audited_event WHERE event_id = ${event?.eventId ?? ""}`;
  expect(row?.payload.toString()).toContain("grace@example.com");
  expect(row?.headers).toMatchObject({ "ce-id": event?.eventId, "ce-specversion": "1.0" });
  await expect(sql`UPDATE audited_event SET type = 'x'`).rejects.toThrow("UPDATE is refused");
  await expect(sql`DELETE FROM audited_event`).rejects.toThrow("DELETE is refused");
  await expect(sql`TRUNCATE audited_event`).rejects.toThrow("TRUNCATE is refused");
});

test("an event of a type that nobody has told us of is kept as it came, and once", async () => {
  const { url } = await testBroker();
  const nats = openNats({ url, name: "stranger", log: silentLog });
  atEnd(() => nats.close());
  const { connection } = await nats.online(new AbortController().signal);
  const headers = natsHeaders();
  const eventId = newId();
  const said = {
    "ce-id": eventId,
    "ce-type": "shop.order.v9.OrderTeleported",
    "ce-source": "/shop/elsewhere",
    "ce-time": "2026-01-01T12:00:00.000Z",
    "ce-correlationid": "c",
    "ce-causationid": "c",
  };
  for (const [name, value] of Object.entries(said)) headers.set(name, value);
  // Makes the stream.
  await publishers.order.publish({ orderId: "o-3" });
  await kept("o-3");
  const payload = new Uint8Array([255, 254]);
  for (let copy = 0; copy < 2; copy++) {
    await jetstream(connection).publish("evt.order.v9.p00.OrderTeleported", payload, { headers });
  }
  await publishers.order.publish({ orderId: "o-4" });
  await kept("o-4");

  const { events } = await until(async () => {
    const page = await client.listEvents({ filter: { type: "OrderTeleported" } });
    return page.events.length > 0 && page;
  });
  expect(events).toHaveLength(1);
  expect(events[0]).toMatchObject({ eventId, key: "", keySeq: 0n, source: "/shop/elsewhere" });
  expect(Buffer.from(events[0]?.payload.value as Uint8Array)).toEqual(Buffer.from(payload));
});

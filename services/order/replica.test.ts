import { expect, test } from "vitest";
import { CustomerRegisteredSchema } from "../../gen/shop/customer/v1/customer_event_pb.ts";
import { OrderState } from "../../gen/shop/order/v1/order_pb.ts";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import {
  ProductCreatedSchema,
  ProductPriceChangedSchema,
  StockReservedSchema,
} from "../../gen/shop/product/v1/product_event_pb.ts";
import { euro } from "../../mesh/core/money.ts";
import { testPublisher } from "../../mesh/testing/publisher.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testService } from "../../mesh/testing/service.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

// Nobody listens on port 1: all the others are away.
const NOBODY = "static:///127.0.0.1:1";
const env = { CUSTOMER_TARGET: NOBODY, PRODUCT_TARGET: NOBODY, PAYMENT_TARGET: NOBODY };
const products = await testPublisher(ProductCreatedSchema);
const customers = await testPublisher(CustomerRegisteredSchema);
const { client, sql } = await testService({ contract: OrderService, readSettings, start: startApp, env });

const wanted = (customerId: string, productId: string) => ({
  customerId,
  lines: [{ productId, quantity: 2 }],
  paymentToken: "tok_ok",
});
const untilPrice = (productId: string, priceCents: number) =>
  until(
    async () =>
      (
        await sql`
          SELECT 1 FROM product_replica WHERE product_id = ${productId} AND price_cents = ${priceCents}`
      ).length > 0,
  );
const untilCustomer = (customerId: string) =>
  until(async () => (await sql`SELECT 1 FROM customer_replica WHERE customer_id = ${customerId}`).length > 0);

test("an order is accepted while product and customer are away, at the price that was last heard of", async () => {
  await products.publish({ productId: "prod-cup", name: "Cup", price: euro(1_250), availableStock: 9 });
  const ofStock = { productId: "prod-cup", orderId: "order-1", quantity: 1, availableStock: 8 };
  await products.publishOther(StockReservedSchema, ofStock);
  await products.publishOther(ProductPriceChangedSchema, {
    productId: "prod-cup",
    oldPrice: euro(1_250),
    newPrice: euro(990),
  });
  await customers.publish({ customerId: "cust-ada", email: "ada@example.com", displayName: "Ada" });
  await untilPrice("prod-cup", 990);
  await untilCustomer("cust-ada");

  const { order } = await client.placeOrder(wanted("cust-ada", "prod-cup"));
  expect(order).toMatchObject({
    state: OrderState.PENDING,
    total: euro(2 * 990),
    lines: [{ productId: "prod-cup", quantity: 2, unitPrice: euro(990) }],
  });
});

test("what nobody has heard of is no fault of the caller while its owner cannot be asked", async () => {
  await products.publish({ productId: "prod-mug", name: "Mug", price: euro(999), availableStock: 9 });
  await customers.publish({ customerId: "cust-grace", email: "grace@example.com", displayName: "Grace" });
  await untilPrice("prod-mug", 999);
  await untilCustomer("cust-grace");
  const unavailable = { code: "Unavailable" };
  expect(await refusalOf(client.placeOrder(wanted("cust-grace", "prod-unheard")))).toMatchObject(unavailable);
  expect(await refusalOf(client.placeOrder(wanted("cust-unheard", "prod-mug")))).toMatchObject(unavailable);
});

import { expect, test } from "vitest";
import { OrderState } from "../gen/shop/order/v1/order_pb.ts";
import { openShop } from "./shop.ts";

const shop = await openShop({
  CUSTOMER_TRANSPORT: "connect",
  PAYMENT_TRANSPORT: "connect",
  PRODUCT_TRANSPORT: "connect",
});

test("with its targets switched to the Connect protocol the shop works as before", async () => {
  const wanted = { customerId: "cust-ada", lines: [{ productId: "prod-espresso", quantity: 2 }] };
  const wait = { seconds: 30n, nanos: 0 };
  const { order } = await shop.orders.placeOrder({ ...wanted, paymentToken: "tok_ok", wait });
  expect(order?.state).toBe(OrderState.CONFIRMED);
  const declined = await shop.orders.placeOrder({ ...wanted, paymentToken: "tok_declined", wait });
  expect(declined.order).toMatchObject({ state: OrderState.REJECTED, rejectionReason: "PAYMENT_DECLINED" });
  const { product } = await shop.products.getProduct({ productId: "prod-espresso" });
  expect(product?.availableStock).toBe(98);
});

test("a product instance that is gone is passed over", async () => {
  await shop.system.halt("product-1");
  for (let i = 0; i < 4; i++) {
    const page = await shop.reviews.getReviewedProduct({ productId: "prod-espresso" });
    expect(page.product?.productId).toBe("prod-espresso");
  }
});

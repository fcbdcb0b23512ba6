import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { OrderService } from "../../gen/shop/order/v1/order_service_pb.ts";
import { PaymentError, PaymentErrorSchema } from "../../gen/shop/payment/v1/payment_error_pb.ts";
import { PaymentService } from "../../gen/shop/payment/v1/payment_service_pb.ts";
import { ProductError, ProductErrorSchema } from "../../gen/shop/product/v1/product_error_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { ReviewService } from "../../gen/shop/review/v2/review_service_pb.ts";
import { DegradedReason } from "../../gen/shop/storefront/v1/storefront_pb.ts";
import { StorefrontService } from "../../gen/shop/storefront/v1/storefront_service_pb.ts";
import { refusals } from "../../mesh/contract/reasons.ts";
import { AppError } from "../../mesh/core/errors.ts";
import { meshClient } from "../../mesh/rpc/client/client.ts";
import { dataPlaneOf } from "../../mesh/rpc/data-planes.ts";
import { atEnd } from "../../mesh/testing/at-end.ts";
import { testBroker } from "../../mesh/testing/broker.ts";
import { refusalOf } from "../../mesh/testing/refusal.ts";
import { testServer } from "../../mesh/testing/server.ts";
import { until } from "../../mesh/testing/until.ts";
import { startApp } from "./app.ts";
import { readSettings } from "./config.ts";

const noSuchProduct = refusals<ProductError>(ProductErrorSchema);
const noSuchPayment = refusals<PaymentError>(PaymentErrorSchema);

const left: string[] = [];
const hang = (what: string, signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => {
      left.push(what);
      reject(signal.reason);
    });
  });

const product = await testServer(ProductService, {
  getProduct({ productId }) {
    if (productId === "prod-none")
      throw noSuchProduct(ProductError.PRODUCT_NOT_FOUND, `there is no product ${productId}`);
    return { product: { productId, name: "Beans", availableStock: 7, rating: { average: 4, count: 9 } } };
  },
  batchGetProducts({ productIds }) {
    if (productIds.includes("prod-away"))
      throw new AppError("a secret of product", { code: Code.Internal, reason: "BROKEN", domain: "test" });
    return { products: productIds.map((productId) => ({ productId, name: "Beans" })) };
  },
});
const review = await testServer(ReviewService, {
  listReviews({ productId, pageSize }, { requestHeader, signal }) {
    if (productId === "prod-slow" || productId === "prod-none") return hang(productId, signal);
    const title = `${pageSize} for ${requestHeader.get("mesh-operator-token")}`;
    return { reviews: [{ productId, title, halfStars: 6 }], nextPageToken: "more" };
  },
});
const order = await testServer(OrderService, {
  getOrder: ({ orderId }) => ({ order: { orderId, lines: [{ productId: orderId, quantity: 1 }] } }),
});
const payment = await testServer(PaymentService, {
  getPayment({ orderId }) {
    if (orderId === "prod-unpaid") throw noSuchPayment(PaymentError.PAYMENT_NOT_FOUND, "none yet");
    return { payment: { orderId } };
  },
});

const { url: natsUrl } = await testBroker();
const app = await startApp(
  readSettings({
    HOST: "127.0.0.1",
    PORT: "0",
    NATS_URL: natsUrl,
    LOG_LEVEL: "error",
    MESH_OPERATOR_TOKEN: "ops",
    PRODUCT_TARGET: `static:///${product.address}`,
    REVIEW_TARGET: `static:///${review.address}`,
    ORDER_TARGET: `static:///${order.address}`,
    PAYMENT_TARGET: `static:///${payment.address}`,
  }),
);
const way = dataPlaneOf().grpc(
  { host: "127.0.0.1", port: app.port },
  { interceptors: [], maxMessageBytes: 2 ** 22 },
);
atEnd(async () => {
  way.close();
  await app.stop();
});
const pages = meshClient(StorefrontService, way);
const headers = { "mesh-operator-token": "ops" };

test("the page of a product has all parts, asked for as the caller", async () => {
  const page = await pages.getProductPage({ productId: "prod-beans", reviewCount: 3 }, { headers });
  expect(page).toMatchObject({
    product: { productId: "prod-beans", availableStock: 7, rating: { average: 4, count: 9 } },
    reviews: [{ title: "3 for ops", halfStars: 6 }],
    nextReviewPageToken: "more",
    degraded: [],
  });
  const { reviews } = await pages.getProductPage({ productId: "prod-beans" }, { headers });
  expect(reviews).toMatchObject([{ title: "10 for ops" }]);
});

test("that there is no such product is the page's answer, in the words of its owner, and nothing else is waited for", async () => {
  expect(await refusalOf(pages.getProductPage({ productId: "prod-none" }))).toEqual({
    code: "NotFound",
    reason: "PRODUCT_NOT_FOUND",
    domain: "shop.product.v1",
  });
  await until(() => left.includes("prod-none"));
});

test("a part that is late by its own contract is left out, and the page comes without it", async () => {
  let trailer = new Headers();
  const onTrailer = (given: Headers) => {
    trailer = given;
  };
  const page = await pages.getProductPage({ productId: "prod-slow" }, { onTrailer });
  expect(page).toMatchObject({
    product: { productId: "prod-slow" },
    reviews: [],
    degraded: [{ part: "reviews", reason: DegradedReason.TIMEOUT }],
  });
  expect(trailer.get("mesh-degraded")).toBe("fallback");
});

test("the page of an order has its products and its payment", async () => {
  expect(await pages.getOrderPage({ orderId: "prod-beans" }, { headers })).toMatchObject({
    order: { orderId: "prod-beans" },
    products: [{ productId: "prod-beans", name: "Beans" }],
    payment: { orderId: "prod-beans" },
    degraded: [],
  });
});

test("that nothing was asked to be paid yet is no fault of the page", async () => {
  const page = await pages.getOrderPage({ orderId: "prod-unpaid" }, { headers });
  expect([page.payment, page.degraded]).toEqual([undefined, []]);
});

test("of a part that fails nothing is told but that it is missing", async () => {
  const page = await pages.getOrderPage({ orderId: "prod-away" }, { headers });
  expect(page).toMatchObject({
    order: { orderId: "prod-away" },
    products: [],
    payment: { orderId: "prod-away" },
    degraded: [{ part: "products", reason: DegradedReason.UNAVAILABLE }],
  });
});

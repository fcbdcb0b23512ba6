import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { StorefrontService } from "../../gen/shop/storefront/v1/storefront_service_pb.ts";
import { notAllowed } from "../../mesh/auth/enforce-access.ts";
import { assertOwner } from "../../mesh/auth/owner.ts";
import type { Log } from "../../mesh/core/log.ts";
import type { PageClients } from "./clients.ts";
import { pageParts } from "./page-parts.ts";

const REVIEWS = 10;

/** The RPCs of StorefrontService. */
export function storefrontService(
  { products, reviews, orders, payments }: PageClients,
  log: Log,
): ServiceImpl<typeof StorefrontService> {
  return {
    async getProductPage({ productId, reviewCount }, context) {
      const parts = pageParts(context, log);
      const [{ product }, listed] = await Promise.all([
        parts.required("product", (options) => products.getProduct({ productId }, options)),
        parts.optional("reviews", (options) =>
          reviews.listReviews({ productId, pageSize: reviewCount || REVIEWS }, options),
        ),
      ]);
      return {
        ...(product && { product }),
        reviews: listed?.reviews ?? [],
        nextReviewPageToken: listed?.nextPageToken ?? "",
        degraded: parts.degraded(),
      };
    },

    async getOrderPage({ orderId }, context) {
      const parts = pageParts(context, log);
      const orderWithProducts = async () => {
        const { order } = await parts.required("order", (options) => orders.getOrder({ orderId }, options));
        // The owner says so too, unless it is told to let in everybody.
        assertOwner(order?.customerId ?? "", () => notAllowed(StorefrontService.method.getOrderPage));
        const productIds = order?.lines.map(({ productId }) => productId) ?? [];
        const found = await parts.optional("products", (options) =>
          products.batchGetProducts({ productIds }, options),
        );
        return { order, products: found?.products ?? [] };
      };
      const [{ order, products: bought }, paid] = await Promise.all([
        orderWithProducts(),
        parts.optional("payment", (options) => payments.getPayment({ orderId }, options).catch(noneYet)),
      ]);
      return {
        ...(order && { order }),
        products: bought,
        ...(paid?.payment && { payment: paid.payment }),
        degraded: parts.degraded(),
      };
    },
  };
}

/** An order has no payment until one is asked for. */
function noneYet(error: unknown): { readonly payment?: undefined } {
  if (error instanceof ConnectError && error.code === Code.NotFound) return {};
  throw error;
}

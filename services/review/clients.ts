import { Code, ConnectError } from "@connectrpc/connect";
import type { Product } from "../../gen/shop/product/v1/product_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { type Degraded, degradedOf } from "../../mesh/resilience/degraded.ts";
import { type ClientOptions, meshClient, openTarget } from "../../mesh/rpc/client/client.ts";
import type { Settings } from "./config.ts";
import { productNotFound } from "./review.ts";

/** The other services, in the words of this one. */
export type Clients = ReturnType<typeof openClients>;

/** A product, and whether its owner could be asked. */
export interface KnownProduct {
  /** Undefined if its owner is away and it was not asked for before. */
  readonly product: Product | undefined;
  readonly degraded: Degraded | undefined;
}

/** Opens the way to product. */
export function openClients(
  { productTarget, productTransport }: Pick<Settings, "productTarget" | "productTransport">,
  mesh?: ClientOptions,
) {
  const target = openTarget(
    { service: ProductService, target: productTarget, protocol: productTransport },
    mesh,
  );
  // Reviews are worth reading without the product; nothing that is kept beats a product that we would make up.
  const products = meshClient(ProductService, target, { fallback: { getProduct: () => ({}) } });

  return {
    targets: [target],

    /** The product as its owner knows it, or knew it. Throws PRODUCT_NOT_FOUND if there is none. */
    async product(productId: string): Promise<KnownProduct> {
      let degraded: Degraded | undefined;
      const onTrailer = (trailer: Headers) => {
        degraded = degradedOf({ trailer });
      };
      const { product } = await products.getProduct({ productId }, { onTrailer }).catch((error) => {
        const isMissing = error instanceof ConnectError && error.code === Code.NotFound;
        throw isMissing ? productNotFound(productId) : error;
      });
      return { product, degraded };
    },
  };
}

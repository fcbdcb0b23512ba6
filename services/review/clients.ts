import { Code, ConnectError } from "@connectrpc/connect";
import type { Product } from "../../gen/shop/product/v1/product_pb.ts";
import { ProductService } from "../../gen/shop/product/v1/product_service_pb.ts";
import { meshClient, openTarget } from "../../mesh/rpc/client.ts";
import type { Settings } from "./config.ts";
import { productNotFound } from "./review.ts";

/** The other services, in the words of this one. */
export type Clients = ReturnType<typeof openClients>;

/** Opens the way to product. */
export function openClients({
  productTarget,
  productTransport,
}: Pick<Settings, "productTarget" | "productTransport">) {
  const target = openTarget({ endpoints: productTarget, protocol: productTransport });
  const products = meshClient(ProductService, target);

  return {
    targets: [target],

    /** The product as its owner knows it. Throws PRODUCT_NOT_FOUND if there is none. */
    async product(productId: string): Promise<Product> {
      const { product } = await products.getProduct({ productId }).catch((error) => {
        const isMissing = error instanceof ConnectError && error.code === Code.NotFound;
        throw isMissing ? productNotFound(productId) : error;
      });
      if (!product) throw new Error(`the product service gave no product for ${productId}`);
      return product;
    },
  };
}
